-- Erase a user and tell the log. ARGV: prefix, id, payload of the log entry.
local prefix, id, payload = ARGV[1], ARGV[2], ARGV[3]
local had = redis.call('DEL', prefix .. 'u:' .. id) + redis.call('DEL', prefix .. 'r:' .. id)
redis.call('ZREM', prefix .. 'users', id)
local offset = string.format('%.0f', redis.call('INCR', prefix .. 'log:last'))
redis.call('XADD', prefix .. 'log', offset .. '-0', 'd', payload)
redis.call('SET', prefix .. 't:' .. id, offset)
return had
