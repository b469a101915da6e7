-- Create or replace records, all or none; one that says what is there already is left as it is, and is no change.
-- KEYS: prefix. ARGV: letter of the records, name of their set, how many names of plain features are kept, how many
-- kinds, then name and kind of each feature, then id and payload of each record.
-- Returns 1 for each that was created; or -1, the number of the feature that has another kind, and that kind.
local records, set = KEYS[1] .. ARGV[1] .. ':', KEYS[1] .. ARGV[2]
local sequence = tonumber(redis.call('GET', set .. ':seq') or '0')
redis.call('ZCARD', set) -- of a wrong type: fail before anything is written
redis.call('ZCARD', KEYS[1] .. 'gone')

local kinds, first_record = KEYS[1] .. 'kinds:' .. ARGV[2], 5 + 2 * tonumber(ARGV[4])
local n_kinds = redis.call('HLEN', kinds)
local new_kinds = {}
for i = 5, first_record - 1, 2 do
  local name, kind = ARGV[i], ARGV[i + 1]
  local known = redis.call('HGET', kinds, name)
  if known and known ~= kind then return {-1, (i - 3) / 2, known} end
  if not known and (kind ~= '0' or n_kinds < tonumber(ARGV[3])) then
    n_kinds = n_kinds + 1
    new_kinds[#new_kinds + 1] = name
    new_kinds[#new_kinds + 1] = kind
  end
end

-- a payload ends with the time of the change, a msgpack float64: what it says is all before
local function says(payload)
  return string.byte(payload, -9) == 0xcb and string.sub(payload, 1, -9) or payload
end

local created, now, values, members, ids = {}, {}, {}, {}, {}
for i = first_record, #ARGV, 2 do
  local id, payload = ARGV[i], ARGV[i + 1]
  local key = records .. id
  local old = now[id] or redis.call('GET', key)
  created[#created + 1] = old and 0 or 1
  if not old or says(old) ~= says(payload) then
    sequence = sequence + 1
    now[id] = payload
    values[#values + 1] = key
    values[#values + 1] = payload
    members[#members + 1] = sequence
    members[#members + 1] = id
    ids[#ids + 1] = id
  end
end

for i = 1, #new_kinds, 2 do redis.call('HSET', kinds, new_kinds[i], new_kinds[i + 1]) end
for from = 1, #values, 1000 do
  local to = math.min(from + 999, #values)
  redis.call('MSET', unpack(values, from, to))
  redis.call('ZADD', set, unpack(members, from, to))
end
if ARGV[2] == 'items' then
  for from = 1, #ids, 1000 do
    redis.call('ZREM', KEYS[1] .. 'gone', unpack(ids, from, math.min(from + 999, #ids)))
  end
end
if #values > 0 then redis.call('SET', set .. ':seq', sequence) end
return created
