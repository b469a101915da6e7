-- Make items changed just now, those that are deleted too. KEYS: prefix. ARGV: ids.
for _, set in ipairs({'items', 'gone'}) do
  local key = KEYS[1] .. set
  for _, id in ipairs(ARGV) do
    if redis.call('ZSCORE', key, id) then redis.call('ZADD', key, redis.call('INCR', KEYS[1] .. 'items:seq'), id) end
  end
end
return 1
