-- Add an entry to the audit log. KEYS: prefix. ARGV: payload.
-- Returns its number: microseconds since the epoch, higher than that of every entry before, also where the clock was set back.
local key = KEYS[1] .. 'audit'
redis.call('ZCARD', key) -- of a wrong type: fail before anything is written
local time = redis.call('TIME')
local number = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = tonumber(redis.call('GET', key .. ':last') or '0')
if number <= last then number = last + 1 end
local text = string.format('%.0f', number)
redis.call('SET', key .. ':last', text)
redis.call('ZADD', key, text, text .. ':' .. ARGV[1])
return text
