-- Give entries of the log new offsets, behind the last. KEYS: prefix. ARGV: of each entry its offset, its kind ('i' for
-- an interaction, 'd' for the deletion of a user, 'p' for poison), user, item and time. One that is gone is passed over.
local prefix, log = KEYS[1], KEYS[1] .. 'log'
local last = tonumber(redis.call('GET', prefix .. 'log:last') or '0')
for at = 1, #ARGV, 5 do
  local old, kind, user, item, time = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local entry = redis.call('XRANGE', log, old .. '-0', old .. '-0')[1]
  if entry then
    last = last + 1
    redis.call('XADD', log, last .. '-0', unpack(entry[2]))
    redis.call('XDEL', log, old .. '-0')
    if kind == 'i' then
      local recent, history = prefix .. 'r:' .. user, prefix .. 'h:' .. user
      if redis.call('ZSCORE', recent, item) == old then redis.call('ZADD', recent, last, item) end
      -- of a user who was deleted since, nothing is there, and nothing comes back
      if redis.call('ZREM', history, string.format('%016.0f', tonumber(old))) == 1 then
        redis.call('ZADD', history, time, string.format('%016.0f', last))
      end
    elseif kind == 'd' and redis.call('GET', prefix .. 't:' .. user) == old then
      redis.call('SET', prefix .. 't:' .. user, last)
    end
  end
end
redis.call('SET', prefix .. 'log:last', last)
return last
