-- Drop the notes of deleted items, those that an earlier release kept among the items too. KEYS: prefix. ARGV: ids.
for _, id in ipairs(ARGV) do
  redis.call('ZREM', KEYS[1] .. 'gone', id)
  if redis.call('EXISTS', KEYS[1] .. 'i:' .. id) == 0 then redis.call('ZREM', KEYS[1] .. 'items', id) end
end
return 1
