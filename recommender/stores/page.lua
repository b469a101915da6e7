-- Records behind a sequence. KEYS: prefix. ARGV: letter of the records, name of their set, sequence, limit.
-- Returns ids and sequences in turn, and the records, false where one was deleted.
local page = redis.call(
  'ZRANGE', KEYS[1] .. ARGV[2], '(' .. ARGV[3], '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[4], 'WITHSCORES')
local keys, records = {}, {}
for i = 1, #page, 2 do keys[#keys + 1] = KEYS[1] .. ARGV[1] .. ':' .. page[i] end
for from = 1, #keys, 1000 do
  local found = redis.call('MGET', unpack(keys, from, math.min(from + 999, #keys)))
  for j = 1, #found do records[#records + 1] = found[j] end
end
return {page, records}
