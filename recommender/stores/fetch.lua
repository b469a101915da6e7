-- What is known of users. KEYS: prefix. ARGV: how many of a user's recent items come with what was said of them, how
-- many more only as ids, how many of those in all; then ids. Returns the sequence of items, the last offset, the number
-- of the newest change of settings, then four lists by user: record, offset of the deletion, recent items (item, offset and log entry in turn, newest first),
-- and older ones as packed ids.
-- However much a user did, this reads a bounded part of it: nobody else waits for theirs.
local prefix, log = KEYS[1], KEYS[1] .. 'log'
local newest, more, budget = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local records, deletions, recent, older = {}, {}, {}, {}
for from = 4, #ARGV, 1000 do
  local to = math.min(from + 999, #ARGV)
  local record_keys, deletion_keys = {}, {}
  for i = from, to do
    record_keys[#record_keys + 1] = prefix .. 'u:' .. ARGV[i]
    deletion_keys[#deletion_keys + 1] = prefix .. 't:' .. ARGV[i]
    local key = prefix .. 'r:' .. ARGV[i]
    local pairs_of_user, entries = redis.call('ZRANGE', key, 0, newest - 1, 'REV', 'WITHSCORES'), {}
    for at = 1, #pairs_of_user, 2 do
      local id = pairs_of_user[at + 1] .. '-0'
      local found = redis.call('XRANGE', log, id, id)[1]
      entries[#entries + 1] = pairs_of_user[at]
      entries[#entries + 1] = pairs_of_user[at + 1]
      entries[#entries + 1] = found and found[2][2] or false
    end
    recent[#recent + 1] = entries
    local ids = {}
    if #pairs_of_user == 2 * newest and budget > 0 then
      ids = redis.call('ZRANGE', key, newest, newest + math.min(more, budget) - 1, 'REV')
      budget = budget - #ids
    end
    older[#older + 1] = #ids > 0 and cmsgpack.pack(ids)
  end
  local found, deleted = redis.call('MGET', unpack(record_keys)), redis.call('MGET', unpack(deletion_keys))
  for j = 1, #found do
    records[#records + 1], deletions[#deletions + 1] = found[j], deleted[j]
  end
end
local counters = redis.call('MGET', prefix .. 'items:seq', prefix .. 'log:last', prefix .. 'settings:seq')
return {counters[1] or '0', counters[2] or '0', counters[3] or '0', records, deletions, recent, older}
