-- Create or replace records. ARGV: prefix, letter of the records, name of their set, then id and payload of each.
local prefix, records, set = ARGV[1], ARGV[1] .. ARGV[2] .. ':', ARGV[1] .. ARGV[3]
local created = {}
for i = 4, #ARGV, 2 do
  created[#created + 1] = 1 - redis.call('EXISTS', records .. ARGV[i])
  redis.call('SET', records .. ARGV[i], ARGV[i + 1])
  redis.call('ZADD', set, redis.call('INCR', set .. ':seq'), ARGV[i])
end
return created
