-- Keep entries that cannot be read, each once, the newest of them.
-- KEYS: the prefix. ARGV: how many are kept; then offset, reason and payload of each, by rising offset.
local key = KEYS[1] .. 'poison'
local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
local newest = last[1] and tonumber(string.match(last[1][1], '^%d+')) or 0
for at = 2, #ARGV, 3 do
  if tonumber(ARGV[at]) > newest then
    redis.call('XADD', key, 'MAXLEN', '~', ARGV[1], ARGV[at] .. '-0', 'reason', ARGV[at + 1], 'd', ARGV[at + 2])
  end
end
return #ARGV
