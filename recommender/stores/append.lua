-- Add interactions to the log: all or none, and each event id once.
-- KEYS: the prefix, which carries the hash tag.
-- ARGV: cap of the log, seconds of a bucket of event ids, most recent items of a user, n, m;
--   n payloads; m event ids, all different; the positions (1 to n) of those m;
--   then for each user: id, how many, and as many triples of position, item and time.
-- Returns how many were accepted, how many were duplicates, the last offset.
-- The server serves nobody else meanwhile: hence values by the thousand in one command, as many as Lua's
-- stack takes, and everything that needs no secret of the server was prepared by the client.
-- Every key is read before the first is written, so that one of a wrong type fails with nothing done.
local prefix = KEYS[1]
local cap, bucket_s, most_recent = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local n, m = tonumber(ARGV[4]), tonumber(ARGV[5])
local first_id, last_id = 6 + n, 5 + n + m
local log = prefix .. 'log'
local length = redis.call('XLEN', log)
local offset = tonumber(redis.call('GET', prefix .. 'log:last') or '0')

local bucket = math.floor(tonumber(redis.call('TIME')[1]) / bucket_s)
local current = prefix .. 'dd:' .. bucket
local duplicate, duplicates = {}, 0
if m > 0 then
  for _, key in ipairs({current, prefix .. 'dd:' .. bucket - 1}) do
    for from = first_id, last_id, 1000 do
      local there = redis.call('SMISMEMBER', key, unpack(ARGV, from, math.min(from + 999, last_id)))
      for j = 1, #there do
        local position = there[j] == 1 and tonumber(ARGV[from + j - 1 + m])
        if position and not duplicate[position] then
          duplicate[position] = true
          duplicates = duplicates + 1
        end
      end
    end
  end
end

if duplicates == n then return {0, duplicates, offset} end
if length + n - duplicates > cap then
  return redis.error_reply('BACKLOG ' .. length .. ' interactions are in the log, the limit is ' .. cap
    .. ': they wait to be learned, or were learned last; see last_training in /v1/status')
end

local offsets = {}
for position = 1, n do
  if not duplicate[position] then
    offset = offset + 1
    offsets[position] = offset
  end
end

local recent, history = {}, {}
local at = last_id + m + 1
while at <= #ARGV do
  local id, count = ARGV[at], tonumber(ARGV[at + 1])
  local by_offset, by_time = {}, {}
  for triple = at + 2, at + 1 + 3 * count, 3 do
    local own = offsets[tonumber(ARGV[triple])]
    if own then
      by_offset[#by_offset + 1] = own
      by_offset[#by_offset + 1] = ARGV[triple + 1]
      by_time[#by_time + 1] = ARGV[triple + 2]
      by_time[#by_time + 1] = string.format('%016.0f', own)
    end
  end
  redis.call('ZCARD', prefix .. 'r:' .. id)
  redis.call('ZCARD', prefix .. 'h:' .. id)
  recent[prefix .. 'r:' .. id] = by_offset
  history[prefix .. 'h:' .. id] = by_time
  at = at + 2 + 3 * count
end

for position = 1, n do
  local own = offsets[position]
  if own then redis.call('XADD', log, own .. '-0', 'd', ARGV[5 + position]) end
end
redis.call('SET', prefix .. 'log:last', offset)
for _, sets in ipairs({recent, history}) do
  for key, members in pairs(sets) do
    for from = 1, #members, 1000 do
      redis.call('ZADD', key, unpack(members, from, math.min(from + 999, #members)))
    end
  end
end
for key in pairs(recent) do redis.call('ZREMRANGEBYRANK', key, 0, -most_recent - 1) end
if m > 0 then
  -- those that were there are in a bucket already; adding them again would only make the window longer
  local fresh = {}
  for id = first_id, last_id do
    if not duplicate[tonumber(ARGV[id + m])] then fresh[#fresh + 1] = ARGV[id] end
  end
  for from = 1, #fresh, 1000 do
    redis.call('SADD', current, unpack(fresh, from, math.min(from + 999, #fresh)))
  end
  if #fresh > 0 then redis.call('EXPIRE', current, 2 * bucket_s) end
end
return {n - duplicates, duplicates, offset}
