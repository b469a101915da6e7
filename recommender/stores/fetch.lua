-- What is known of users. KEYS: prefix. ARGV: ids. Returns the sequence of items, the last offset, then three
-- lists by user: record, offset of the deletion, and items and offsets of recent interactions, oldest first.
local prefix = KEYS[1]
local records, deletions, recent = {}, {}, {}
for from = 1, #ARGV, 1000 do
  local to = math.min(from + 999, #ARGV)
  local record_keys, deletion_keys = {}, {}
  for i = from, to do
    record_keys[#record_keys + 1] = prefix .. 'u:' .. ARGV[i]
    deletion_keys[#deletion_keys + 1] = prefix .. 't:' .. ARGV[i]
    recent[i] = redis.call('ZRANGE', prefix .. 'r:' .. ARGV[i], 0, -1, 'WITHSCORES')
  end
  local found, deleted = redis.call('MGET', unpack(record_keys)), redis.call('MGET', unpack(deletion_keys))
  for j = 1, #found do
    records[#records + 1], deletions[#deletions + 1] = found[j], deleted[j]
  end
end
local counters = redis.call('MGET', prefix .. 'items:seq', prefix .. 'log:last')
return {counters[1] or '0', counters[2] or '0', records, deletions, recent}
