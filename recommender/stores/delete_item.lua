-- Delete an item and note that for who follows the changes. KEYS: prefix. ARGV: id, 1 to note it where there is no record.
local set, record = KEYS[1] .. 'items', KEYS[1] .. 'i:' .. ARGV[1]
redis.call('ZCARD', set) -- of a wrong type: fail before anything is written
redis.call('ZCARD', KEYS[1] .. 'gone')
if ARGV[2] == '0' and redis.call('EXISTS', record) == 0 then return 0 end
redis.call('ZREM', set, ARGV[1])
redis.call('ZADD', KEYS[1] .. 'gone', redis.call('INCR', set .. ':seq'), ARGV[1])
redis.call('DEL', record)
return 1
