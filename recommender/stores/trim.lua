-- Drop log entries up to an offset and what was kept because of them. KEYS: prefix.
-- ARGV: offset that has been learned; one up to it, to drop through; how many users have interactions there; for each its id, how many, and as many members of its history;
-- then users who were deleted there.
local prefix, learned, through, users = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
-- a store that never had what was learned has come back with less: its entries only have the offsets of others
if tonumber(redis.call('GET', prefix .. 'log:last') or '0') < learned then return 0 end
local at = 4
for _ = 1, users do
  local id, count = ARGV[at], tonumber(ARGV[at + 1])
  redis.call('ZREMRANGEBYSCORE', prefix .. 'r:' .. id, '-inf', through)
  redis.call('ZREM', prefix .. 'h:' .. id, unpack(ARGV, at + 2, at + 1 + count))
  at = at + 2 + count
end
for i = at, #ARGV do
  local key = prefix .. 't:' .. ARGV[i]
  if tonumber(redis.call('GET', key) or through + 1) <= through then redis.call('DEL', key) end
end
return redis.call('XTRIM', prefix .. 'log', 'MINID', through + 1 .. '-0')
