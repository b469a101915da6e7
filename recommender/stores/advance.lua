-- Make counters at least as large as given. KEYS: prefix. ARGV: offset, sequence of items.
for i, name in ipairs({'log:last', 'items:seq'}) do
  local key = KEYS[1] .. name
  if tonumber(redis.call('GET', key) or '0') < tonumber(ARGV[i]) then redis.call('SET', key, ARGV[i]) end
end
return 1
