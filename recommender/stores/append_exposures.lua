-- Add exposures to their stream: all or none.
-- KEYS: the prefix, which carries the hash tag. ARGV: cap of the stream, then the payloads.
-- Returns how many the stream has now.
local key, cap, n = KEYS[1] .. 'exposures', tonumber(ARGV[1]), #ARGV - 1
local length = redis.call('XLEN', key)
if length + n > cap then
  return redis.error_reply('BACKLOG ' .. length .. ' exposures are in the stream, the limit is ' .. cap
    .. ': the trainer, which archives them, is away or behind; see exposures in /v1/status')
end
for at = 2, #ARGV do redis.call('XADD', key, '*', 'd', ARGV[at]) end
return length + n
