-- Erase a user and tell the log, also when nothing is stored: what was learned of them must go as well.
-- KEYS: prefix. ARGV: id, payload of the log entry. Returns how many records the user had.
local prefix, id = KEYS[1], ARGV[1]
redis.call('ZCARD', prefix .. 'users') -- of a wrong type: fail before anything is written
local offset = tonumber(redis.call('GET', prefix .. 'log:last') or '0') + 1
redis.call('XADD', prefix .. 'log', offset .. '-0', 'd', ARGV[2])
redis.call('SET', prefix .. 'log:last', offset)
redis.call('SET', prefix .. 't:' .. id, offset)
redis.call('ZREM', prefix .. 'users', id)
redis.call('DEL', prefix .. 'h:' .. id)
return redis.call('DEL', prefix .. 'u:' .. id, prefix .. 'r:' .. id)
