-- Make counters at least as large as given. KEYS: prefix. ARGV: offset, sequence of items, 1 to do so only where the
-- log has never had an entry or has none left.
if ARGV[3] == '1' and redis.call('XLEN', KEYS[1] .. 'log') > 0 then return 0 end
for i, name in ipairs({'log:last', 'items:seq'}) do
  local key = KEYS[1] .. name
  if tonumber(redis.call('GET', key) or '0') < tonumber(ARGV[i]) then redis.call('SET', key, ARGV[i]) end
end
return 1
