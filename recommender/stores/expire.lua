-- Drop records that have not changed since, telling the log nothing; of an item it is noted, for who follows the changes.
-- A user who has interactions in the log stays. KEYS: prefix. ARGV: letter of the records, name of their set, then id and
-- packed time of the last change of each.
local prefix, letter, set = KEYS[1], ARGV[1], KEYS[1] .. ARGV[2]
redis.call('ZCARD', set) -- of a wrong type: fail before anything is written
redis.call('ZCARD', prefix .. 'gone')
for i = 3, #ARGV, 2 do
  local id, changed_at = ARGV[i], ARGV[i + 1]
  local record = redis.call('GET', prefix .. letter .. ':' .. id)
  local same = record and string.sub(record, -#changed_at) == changed_at
  if same and (letter == 'i' or redis.call('EXISTS', prefix .. 'h:' .. id) == 0) then
    redis.call('ZREM', set, id)
    if letter == 'i' then redis.call('ZADD', prefix .. 'gone', redis.call('INCR', set .. ':seq'), id) end
    redis.call('DEL', prefix .. letter .. ':' .. id)
  end
end
return 1
