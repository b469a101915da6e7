-- A user's interactions that are in the log, newest first by time, behind a place. KEYS: prefix.
-- ARGV: id; time and member of the place, the time empty for the beginning; how many.
-- Returns payloads by offset: offset and log entry in turn.
-- The place is found by halving: it may have been trimmed, and thousands may have its time.
local prefix, log, h = KEYS[1], KEYS[1] .. 'log', KEYS[1] .. 'h:' .. ARGV[1]
local limit, from = tonumber(ARGV[4]), 0
if ARGV[2] ~= '' then
  local time, low, high = tonumber(ARGV[2]), 0, redis.call('ZCARD', h)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local there = redis.call('ZRANGE', h, middle, middle, 'REV', 'WITHSCORES')
    local score = tonumber(there[2])
    if score < time or (score == time and there[1] < ARGV[3]) then high = middle else low = middle + 1 end
  end
  from = low
end

local found = {}
local function add(offset)
  local id = string.format('%.0f-0', offset)
  local entry = redis.call('XRANGE', log, id, id)[1]
  if entry then
    found[#found + 1] = entry[1]
    found[#found + 1] = entry[2][2]
  end
end
for _, member in ipairs(redis.call('ZRANGE', h, from, from + limit - 1, 'REV')) do add(tonumber(member)) end
-- what an earlier release wrote is in the recent items only
local recent = redis.call('ZRANGE', prefix .. 'r:' .. ARGV[1], 0, 999, 'REV', 'WITHSCORES')
for at = 2, #recent, 2 do
  if not redis.call('ZSCORE', h, string.format('%016.0f', tonumber(recent[at]))) then add(tonumber(recent[at])) end
end
return found
