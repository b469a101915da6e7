-- Put a copy of the log in its place, from which entries were left out, with what came since it was begun and an entry
-- that says what is missing; and drop the note of a user's deletion. KEYS: prefix.
-- ARGV: user, offset of the deletion, offset up to which the log was copied, payload of that entry or '' for none.
local prefix, user, through, copied, marker = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local log, copy = prefix .. 'log', prefix .. 'log:copy'
local after = '(' .. copied .. '-0'
while true do
  local page = redis.call('XRANGE', log, after, '+', 'COUNT', 1000)
  for _, entry in ipairs(page) do redis.call('XADD', copy, entry[1], unpack(entry[2])) end
  if #page < 1000 then break end
  after = '(' .. page[#page][1]
end
if marker ~= '' then
  local offset = tonumber(redis.call('GET', prefix .. 'log:last') or '0') + 1
  redis.call('XADD', copy, offset .. '-0', 'd', marker)
  redis.call('SET', prefix .. 'log:last', offset)
end
if redis.call('EXISTS', copy) == 1 then redis.call('RENAME', copy, log) else redis.call('DEL', log) end
local note = prefix .. 't:' .. user
if tonumber(redis.call('GET', note) or through + 1) <= through then redis.call('DEL', note) end
return 1
