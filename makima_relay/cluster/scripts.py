"""What Redis does as one: the scripts, in Lua.

A script is loaded when a connection is made and called by its digest. Should Redis not know it any more, it has been
emptied or is another: then everything is begun anew.
"""

from __future__ import annotations

import hashlib

import attrs


@attrs.frozen
class Script:
    """A script.

    :ivar source: in Lua.
    :ivar digest: how it is called.
    """

    source: str
    digest: str = attrs.field(init=False)

    @digest.default
    def _digest_of_source(self) -> str:
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


#: Have Redis know a relay's run, and its inbox. If there is no inbox, what was put into one is put there again.
#: Keys: session, inbox, sent. Arguments: run.
#: Answers up to which entry the inbox has been read.
BEGIN = Script("""
redis.call('SET', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('DEL', KEYS[3]) end
local made = redis.pcall('XGROUP', 'CREATE', KEYS[2], 'relay', '0', 'MKSTREAM')
if made['err'] and not string.find(made['err'], 'BUSYGROUP') then return made end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[2])) do
  local named = {}
  for i = 1, #group, 2 do named[group[i]] = group[i + 1] end
  if named['name'] == 'relay' then return named['last-delivered-id'] end
end
""")

#: Renew a relay's presence and tell all. What is kept for it goes thirty days after it was last there.
#: Keys: presence, relays, session, inbox, sent, acknowledged. Arguments: relay, its run, presence (JSON), channel.
#: Answers the moment in microseconds, or which run of the relay is in Redis instead; empty if Redis was emptied.
ANNOUNCE = Script("""
local run = redis.call('GET', KEYS[3]) or ''
if run ~= ARGV[2] then return run end
local now = redis.call('TIME')
local at = now[1] .. string.format('%06d', now[2])
local sighting = '{"at":' .. at .. ',"presence":' .. ARGV[3] .. '}'
redis.call('SET', KEYS[1], sighting, 'EX', 15)
for i = 3, #KEYS do redis.call('EXPIRE', KEYS[i], 2592000) end
redis.call('HSET', KEYS[2], ARGV[1], sighting)
redis.call('PUBLISH', ARGV[4], sighting)
return tonumber(at)
""")

#: Take a relay's presence away and tell all, if it is still this run that is in Redis. What it was sent and has not
#: looked at is unread again, so that its senders can take it back.
#: Keys: presence, session, inbox. Arguments: relay, its run, channel, the last entry that it looked at.
LEAVE = Script("""
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
local now = redis.call('TIME')
local at = now[1] .. string.format('%06d', now[2])
for _, entry in ipairs(redis.call('XPENDING', KEYS[3], 'relay', '(' .. ARGV[4], '+', 1000)) do
  redis.call('XACK', KEYS[3], 'relay', entry[1])
end
redis.call('XGROUP', 'SETID', KEYS[3], 'relay', ARGV[4])
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[3], '{"at":' .. at .. ',"left":"' .. ARGV[1] .. '"}')
return 1
""")

#: Put entries into an inbox, but for those that were put there before. If Redis was emptied since the sender's run
#: began, nothing is put there: what came before was lost, and with what is sent now it would seem to have been sent.
#: Keys: inbox, sent, session of the sender. Arguments: sender, its run, then number and payload of each.
SEND = Script("""
if redis.call('GET', KEYS[3]) ~= ARGV[2] then return 0 end
local last = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '', '^%d+$') or '0'
for i = 3, #ARGV, 2 do
  if tonumber(ARGV[i]) > tonumber(last) then
    redis.call('XADD', KEYS[1], '*', 'from', ARGV[1], 'number', ARGV[i], 'payload', ARGV[i + 1])
    last = ARGV[i]
  end
end
redis.call('HSET', KEYS[2], ARGV[1], last)
return last
""")

#: Delete entries that the relay has acted on, and tell their sender up to which number.
#: Keys: inbox, acknowledged. Arguments: relay, number (0 for none), channel, then the entries' ids.
ACKNOWLEDGE = Script("""
if #ARGV > 3 then
  local ids = {unpack(ARGV, 4)}
  redis.call('XACK', KEYS[1], 'relay', unpack(ids))
  redis.call('XDEL', KEYS[1], unpack(ids))
end
if ARGV[2] == '0' then return 0 end
local last = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '', '^%d+$') or '0'
if tonumber(ARGV[2]) > tonumber(last) then
  last = ARGV[2]
  redis.call('HSET', KEYS[2], ARGV[1], last)
end
redis.call('PUBLISH', ARGV[3], last .. ' ' .. ARGV[1])
return 1
""")

#: Take a sender's entries back that their receiver has not read: from then on it never will.
#: Keys: inbox, sent. Arguments: sender.
#: Answers their numbers.
TAKE_BACK = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
local from = '-'
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local named = {}
  for i = 1, #group, 2 do named[group[i]] = group[i + 1] end
  if named['name'] == 'relay' then from = '(' .. named['last-delivered-id'] end
end
local numbers = {}
while true do
  local page = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 100)
  for _, entry in ipairs(page) do
    if entry[2][2] == ARGV[1] then
      if string.match(entry[2][4] or '', '^%d+$') then numbers[#numbers + 1] = entry[2][4] end
      redis.call('XDEL', KEYS[1], entry[1])
    end
    from = '(' .. entry[1]
  end
  if #page < 100 then break end
end
if #numbers > 0 then
  redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', tonumber(numbers[1]) - 1))
end
return numbers
""")

#: Have tasks be a relay's own, but for those that are in the directory.
#: Keys: tasks. Arguments: relay, then the tasks.
#: Answers for each what the directory has; nothing if it is the relay's own now.
CLAIM = Script("""
local found = {}
for i = 2, #ARGV do
  local entry = redis.call('HGET', KEYS[1], ARGV[i])
  if not entry then redis.call('HSET', KEYS[1], ARGV[i], '0 ' .. ARGV[1] .. ' ' .. ARGV[1]) end
  found[i - 1] = entry or ''
end
return found
""")

#: Write into the directory where tasks are, but for those of another origin.
#: Keys: tasks. Arguments: of each task id, attempt, origin, holder, and the other origin that it may have had, if any.
RECORD = Script("""
for i = 1, #ARGV, 5 do
  local entry = redis.call('HGET', KEYS[1], ARGV[i])
  local origin = entry and string.match(entry, '^%d+ (%S+) ')
  if not origin or origin == ARGV[i + 2] or origin == ARGV[i + 4] then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ' ' .. ARGV[i + 2] .. ' ' .. ARGV[i + 3])
  end
end
return 1
""")

#: Take tasks out of the directory whose origin a relay is.
#: Keys: tasks. Arguments: relay, then the tasks.
FORGET = Script("""
for i = 2, #ARGV do
  local entry = redis.call('HGET', KEYS[1], ARGV[i])
  if entry and string.match(entry, '^%d+ (%S+) ') == ARGV[1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return 1
""")

#: Write what is known of the daemon keys of a name, unless Redis has a later change, and tell all.
#: Keys: keys, machines of the name. Arguments: name, when it changed, "keys" or "none", what is known (JSON), channel.
SHARE_KEYS = Script("""
local entry = redis.call('HGET', KEYS[1], ARGV[1])
local at = entry and string.match(entry, '^(%S+) ')
if at and tonumber(at) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
if ARGV[3] == 'none' then redis.call('DEL', KEYS[2]) end
redis.call('PUBLISH', ARGV[5], ARGV[4])
return 1
""")

#: Have machines belong to the name of a daemon key that has not been revoked, and tell all of those that are new.
#: Keys: keys, machines of the name. Arguments: name, channel, then the machines (JSON).
SHARE_MACHINES = Script("""
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry or string.match(entry, '^%S+ (%S+) ') ~= 'keys' then return 0 end
for i = 3, #ARGV do
  if redis.call('SADD', KEYS[2], ARGV[i]) == 1 then redis.call('PUBLISH', ARGV[2], ARGV[i]) end
end
return 1
""")

#: Write how tasks are shown, and keep the latest finished ones only.
#: Keys: rows, order, ended. Arguments: how many finished ones are kept, for how long all is, when those finished that
#: are kept no more, then of each task its id, when it came, when it finished (or nothing), and how it is shown.
SUMMARIZE = Script("""
for i = 4, #ARGV, 4 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 3])
  redis.call('ZADD', KEYS[2], ARGV[i + 1], ARGV[i])
  if ARGV[i + 2] == '' then redis.call('ZREM', KEYS[3], ARGV[i])
  else redis.call('ZADD', KEYS[3], ARGV[i + 2], ARGV[i]) end
end
local function drop(gone)
  if #gone == 0 then return end
  redis.call('HDEL', KEYS[1], unpack(gone))
  redis.call('ZREM', KEYS[2], unpack(gone))
  redis.call('ZREM', KEYS[3], unpack(gone))
end
drop(redis.call('ZRANGE', KEYS[3], '-inf', ARGV[3], 'BYSCORE', 'LIMIT', 0, 1000))
local over = redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[1])
if over > 0 then drop(redis.call('ZRANGE', KEYS[3], 0, math.min(over, 1000) - 1)) end
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[2]) end
return 1
""")

#: All that are loaded.
SCRIPTS = (
    BEGIN,
    ANNOUNCE,
    LEAVE,
    SEND,
    ACKNOWLEDGE,
    TAKE_BACK,
    CLAIM,
    RECORD,
    FORGET,
    SHARE_KEYS,
    SHARE_MACHINES,
    SUMMARIZE,
)
