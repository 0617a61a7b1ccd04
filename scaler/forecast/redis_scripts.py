"""The scripts that run on the Redis server, each atomically. Lua 5.1; every key has the hash tag of the prefix.

A key may hold anything: an error over one of them (another type of value) is an answer like any other, and never keeps
a script from the next key.
"""

from scaler.forecast.record import MARK, ORDER_END, ORDER_FORMAT, ORDER_OFFSET
from scaler.series import FURTHEST_AHEAD_SECONDS

LONGEST_LEASE = 300
"""bytes of a lease that are read"""
LONGEST_LEASE_SECONDS = 3600
"""one that lasts longer was not written by us"""

# Another type of value is as good as none; any other error, as a missing permission, is raised.
_TEXT = """
local function text(command, ...)
  local found = redis.pcall(command, ...)
  if type(found) == 'table' and found.err and not found.err:find('WRONGTYPE') then redis.call(command, ...) end
  return type(found) == 'string' and found or ''
end
"""

# Fencing tokens are milliseconds since the epoch, or one more than the last where that is later. So they rise even
# where a server lost the last one, and one from further ahead than now was not made here.
_COMMON = f"""{_TEXT}
local time = redis.call('TIME')
local now = tonumber(time[1])
local newest_token = now * 1000 + {1000 * FURTHEST_AHEAD_SECONDS:.0f}
local function lease_of(key)
  local token, holder = text('GETRANGE', key, 0, {LONGEST_LEASE - 1}):match('^(%d+) (.+)$')
  token = tonumber(token)
  local left = token and redis.call('PTTL', key) or 0
  if left > 0 and left <= {1000 * LONGEST_LEASE_SECONDS} and token <= newest_token then return token, holder end
end
"""

# A known record is kept where it is whole, of this version, expiring, from no future, and newer than the new one:
# by fencing tokens where both have one, by what was known, and last by when it counts. Nothing is taken from a replica
# that another one has taken the lease from. A record without token is from a replica that works without a lease.
PUBLISH = f"""{_COMMON}
local replica, channel, milliseconds, prefix, leases = unpack(ARGV, 1, 5)
local function order(record)
  if #record < {ORDER_END} or record:sub(1, {len(MARK)}) ~= ARGV[6]:sub(1, {len(MARK)}) then return end
  local from, observed, start, token = struct.unpack('{ORDER_FORMAT}', record, {ORDER_OFFSET + 1})
  return {{observed, start, from}}, token
end
local function is_older(new, known)
  for i = 1, 3 do
    if new[i] ~= known[i] then return new[i] < known[i] end
  end
  return false
end
local function is_credible(known, token, key)
  for i = 1, 3 do
    if not (known[i] < now + {FURTHEST_AHEAD_SECONDS}) then return false end
  end
  return token <= newest_token and redis.call('PTTL', key) > 0
end
local taken = {{}}
for i = 1, #KEYS / 2 do
  local key, record = KEYS[i], ARGV[i + 5]
  local new, token = order(record)
  local leased, holder = lease_of(KEYS[i + #KEYS / 2])
  local known, known_token = order(text('GETRANGE', key, 0, {ORDER_END - 1}))
  local is_fenced = token > 0 and leased and holder ~= replica and leased > token
  if not is_fenced and known and is_credible(known, known_token, key) then
    is_fenced = is_older(new, known) or (token > 0 and known_token > token)
  end
  if not is_fenced then
    redis.call('SET', key, record, 'PX', milliseconds)
    taken[#taken + 1] = key:sub(#prefix + 1)
  end
end
if #taken > 0 then
  redis.call('PUBLISH', channel, cjson.encode({{replica, taken}}))
end
return #taken
"""

# A lease without a token, or without a near end, was not written by us, and must not hold a trigger back.
HOLDERS = f"""{_COMMON}
local found = {{}}
for i = 1, #KEYS do
  local _, holder = lease_of(KEYS[i])
  found[i] = holder or ''
end
return found
"""

LEASE = f"""{_COMMON}
local replica, milliseconds = unpack(ARGV)
local last = tonumber(text('GETRANGE', KEYS[1], 0, 20)) or 0
local next = now * 1000 + math.floor(tonumber(time[2]) / 1000)
if last >= next and last <= newest_token then next = last + 1 end
local own, tokens, is_new = {{}}, {{}}, false
for i = 2, #KEYS do
  local token, holder = lease_of(KEYS[i])
  if not token then
    token, holder, is_new = next, replica, true
  end
  if holder == replica then
    local number = string.format('%.0f', token)
    redis.call('SET', KEYS[i], number .. ' ' .. replica, 'PX', milliseconds)
    own[#own + 1], tokens[#tokens + 1] = i - 1, number
  end
end
if is_new then redis.call('SET', KEYS[1], string.format('%.0f', next)) end
return {{own, tokens}}
"""

RELEASE = f"""{_COMMON}
for _, key in ipairs(KEYS) do
  local _, holder = lease_of(key)
  if holder == ARGV[1] then redis.call('DEL', key) end
end
"""

# A value that is too long to be used is a number instead.
FETCH = f"""{_TEXT}
local found, most = {{}}, tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  local value = text('GETRANGE', key, 0, most)
  if value == '' then found[i] = false
  elseif #value > most then found[i] = #value
  else found[i] = value end
end
return found
"""
