-- What is known of users. ARGV: prefix, ids. Returns sequence of items, last offset, then for each user
-- their record, the offset of their deletion, and items and offsets of recent interactions.
local prefix = ARGV[1]
local answer = {redis.call('GET', prefix .. 'items:seq') or '0', redis.call('GET', prefix .. 'log:last') or '0'}
for i = 2, #ARGV do
  answer[#answer + 1] = {
    redis.call('GET', prefix .. 'u:' .. ARGV[i]),
    redis.call('GET', prefix .. 't:' .. ARGV[i]),
    redis.call('ZRANGE', prefix .. 'r:' .. ARGV[i], 0, -1, 'WITHSCORES'),
  }
end
return answer
