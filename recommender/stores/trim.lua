-- Drop log entries up to an offset and what was kept because of them. KEYS: prefix.
-- ARGV: offset, how many users have interactions there, those users, users who were deleted there.
local prefix, through, users = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 3, 2 + users do redis.call('ZREMRANGEBYSCORE', prefix .. 'r:' .. ARGV[i], '-inf', through) end
for i = 3 + users, #ARGV do
  local key = prefix .. 't:' .. ARGV[i]
  if tonumber(redis.call('GET', key) or through + 1) <= through then redis.call('DEL', key) end
end
return redis.call('XTRIM', prefix .. 'log', 'MINID', through + 1 .. '-0')
