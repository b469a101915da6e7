-- Change settings, all or none. KEYS: prefix. ARGV: number that the newest change must have ('' for any), time, how many
-- changes of each setting are kept, then KIND:NAME and document of each, '' to delete it.
-- Returns the number of the last change; false where another than the wanted one is the newest.
local settings, counter = KEYS[1] .. 'settings', KEYS[1] .. 'settings:seq'
local number = tonumber(redis.call('GET', counter) or '0')
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= number then return false end
for i = 4, #ARGV, 2 do
  local key, document = ARGV[i], ARGV[i + 1]
  number = number + 1
  local change = string.format('%d', number) .. ' ' .. ARGV[2] .. ' ' .. document
  if document == '' then
    redis.call('HDEL', settings, key)
  else
    redis.call('HSET', settings, key, change)
  end
  redis.call('LPUSH', settings .. ':' .. key, change)
  redis.call('LTRIM', settings .. ':' .. key, 0, ARGV[3] - 1)
end
redis.call('SET', counter, string.format('%d', number))
return number
