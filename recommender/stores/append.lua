-- Add interactions to the log, all or none. One call a batch: room, duplicates, log, recent items.
-- ARGV: prefix, cap, seconds of a bucket of event ids, then for each: event id or '', user, item, payload.
-- Several values go into one command wherever that is possible; 1000 at a time, as Lua's stack allows.
local prefix, cap, bucket_s = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local n = (#ARGV - 3) / 4
local log = prefix .. 'log'
if redis.call('XLEN', log) + n > cap then
  return redis.error_reply('BACKLOG the log holds ' .. cap .. ' entries at most')
end

local bucket = math.floor(tonumber(redis.call('TIME')[1]) / bucket_s)
local current = prefix .. 'dd:' .. bucket
local previous = prefix .. 'dd:' .. (bucket - 1)

local ids, known = {}, {}
for i = 1, n do
  local id = ARGV[4 * i]
  if id ~= '' then ids[#ids + 1] = id end
end
for from = 1, #ids, 1000 do
  local to = math.min(from + 999, #ids)
  for _, key in ipairs({current, previous}) do
    local there = redis.call('SMISMEMBER', key, unpack(ids, from, to))
    for j = 1, #there do
      if there[j] == 1 then known[ids[from + j - 1]] = true end
    end
  end
end

local fresh_ids, accepted, recent = {}, 0, {}
local offset = tonumber(redis.call('GET', prefix .. 'log:last') or '0')
for i = 1, n do
  local id, user, item, payload = ARGV[4 * i], ARGV[4 * i + 1], ARGV[4 * i + 2], ARGV[4 * i + 3]
  if id == '' or not known[id] then
    if id ~= '' then
      known[id] = true
      fresh_ids[#fresh_ids + 1] = id
    end
    accepted = accepted + 1
    offset = offset + 1
    redis.call('XADD', log, string.format('%.0f-0', offset), 'd', payload)
    local own = recent[user]
    if not own then
      own = {}
      recent[user] = own
    end
    own[#own + 1] = string.format('%.0f', offset)
    own[#own + 1] = item
  end
end
if accepted > 0 then redis.call('SET', prefix .. 'log:last', string.format('%.0f', offset)) end
for user, own in pairs(recent) do
  for from = 1, #own, 1000 do
    redis.call('ZADD', prefix .. 'r:' .. user, unpack(own, from, math.min(from + 999, #own)))
  end
end
for from = 1, #fresh_ids, 1000 do
  redis.call('SADD', current, unpack(fresh_ids, from, math.min(from + 999, #fresh_ids)))
end
if #fresh_ids > 0 then redis.call('EXPIRE', current, 2 * bucket_s) end
return {accepted, n - accepted, offset}
