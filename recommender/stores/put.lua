-- Create or replace records, all or none. KEYS: prefix. ARGV: letter of the records, name of their set,
-- then id and payload of each. Returns 1 for each that was created.
local records, set = KEYS[1] .. ARGV[1] .. ':', KEYS[1] .. ARGV[2]
local sequence = tonumber(redis.call('GET', set .. ':seq') or '0')
redis.call('ZCARD', set) -- of a wrong type: fail before anything is written

local created, seen, values, members = {}, {}, {}, {}
for i = 3, #ARGV, 2 do
  local id, key = ARGV[i], records .. ARGV[i]
  created[#created + 1] = seen[id] and 0 or 1 - redis.call('EXISTS', key)
  seen[id] = true
  sequence = sequence + 1
  values[#values + 1] = key
  values[#values + 1] = ARGV[i + 1]
  members[#members + 1] = sequence
  members[#members + 1] = id
end

for from = 1, #values, 1000 do
  local to = math.min(from + 999, #values)
  redis.call('MSET', unpack(values, from, to))
  redis.call('ZADD', set, unpack(members, from, to))
end
if #created > 0 then redis.call('SET', set .. ':seq', sequence) end
return created
