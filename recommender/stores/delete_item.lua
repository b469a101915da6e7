-- Delete an item; it stays in the set of changes without a record. ARGV: prefix, id.
local prefix, id = ARGV[1], ARGV[2]
if redis.call('DEL', prefix .. 'i:' .. id) == 0 then return 0 end
redis.call('ZADD', prefix .. 'items', redis.call('INCR', prefix .. 'items:seq'), id)
return 1
