-- Changes of items behind a sequence, deletions among them. KEYS: prefix. ARGV: sequence, limit.
-- Returns ids and sequences in turn, the records, false where one was deleted, and the sequence of the last change of
-- any item.
local function behind(set)
  return redis.call(
    'ZRANGE', KEYS[1] .. set, '(' .. ARGV[1], '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[2], 'WITHSCORES')
end
local there, gone = behind('items'), behind('gone')
local page, keys, a, b = {}, {}, 1, 1
while #keys < tonumber(ARGV[2]) and (a < #there or b < #gone) do
  local id, sequence
  if b > #gone or (a < #there and tonumber(there[a + 1]) < tonumber(gone[b + 1])) then
    id, sequence, a = there[a], there[a + 1], a + 2
  else
    id, sequence, b = gone[b], gone[b + 1], b + 2
  end
  page[#page + 1], page[#page + 2] = id, sequence
  keys[#keys + 1] = KEYS[1] .. 'i:' .. id
end
local records = {}
for from = 1, #keys, 1000 do
  local found = redis.call('MGET', unpack(keys, from, math.min(from + 999, #keys)))
  for j = 1, #found do records[#records + 1] = found[j] end
end
return {page, records, tonumber(redis.call('GET', KEYS[1] .. 'items:seq') or '0')}
