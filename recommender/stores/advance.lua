-- Make counters at least as large as given. ARGV: prefix, offset, sequence of items.
for i, name in ipairs({'log:last', 'items:seq'}) do
  local key = ARGV[1] .. name
  if tonumber(redis.call('GET', key) or '0') < tonumber(ARGV[i + 1]) then redis.call('SET', key, ARGV[i + 1]) end
end
return 1
