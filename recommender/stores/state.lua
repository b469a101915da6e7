-- Ends of the log. KEYS: prefix. Returns the first entry, if there is one, the last offset, the length.
local log = KEYS[1] .. 'log'
local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
return {first and first[1] or false, redis.call('GET', KEYS[1] .. 'log:last') or '0', redis.call('XLEN', log)}
