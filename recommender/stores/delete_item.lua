-- Delete an item; it stays in the set of changes, without a record. KEYS: prefix. ARGV: id.
local set, record = KEYS[1] .. 'items', KEYS[1] .. 'i:' .. ARGV[1]
redis.call('ZCARD', set) -- of a wrong type: fail before anything is written
if redis.call('EXISTS', record) == 0 then return 0 end
redis.call('ZADD', set, redis.call('INCR', set .. ':seq'), ARGV[1])
redis.call('DEL', record)
return 1
