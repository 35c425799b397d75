-- Writes one or more keys, or none of them.
--
-- KEYS holds the key of each operation, ARGV four values for each:
--   1  "set" or "delete"; "setjson" keeps the value as a JSON document
--   2  the version that the key must have; "" for any, "-" for no key at all
--   3  the value
--   4  seconds to live; below 1 means for ever
--
-- Returns 0, or the number of the first operation whose version does not match.
-- Redis does not undo what a failed script has written, hence two passes.

local function kind(key)
  return redis.call("TYPE", key)["ok"]
end

local function version(key)
  local k = kind(key)
  if k == "none" then
    return nil
  elseif k == "hash" then
    return redis.call("HGET", key, "version") or ""
  elseif k == "ReJSON-RL" then
    local v = redis.pcall("JSON.GET", key, ".version")
    return type(v) == "string" and v or ""
  end
  return ""
end

for i, key in ipairs(KEYS) do
  local want = ARGV[4 * i - 2]
  if want ~= "" then
    local have = version(key)
    if want == "-" and have or want ~= "-" and want ~= have then
      return i
    end
  end
end

for i, key in ipairs(KEYS) do
  local what, value, ttl = ARGV[4 * i - 3], ARGV[4 * i - 1], tonumber(ARGV[4 * i])
  if what == "delete" then
    redis.call("DEL", key)
  else
    if what == "set" then
      if kind(key) ~= "hash" then
        redis.call("DEL", key)
      end
      redis.call("HSET", key, "data", value)
      redis.call("HINCRBY", key, "version", 1)
    else
      local last = tonumber(version(key)) or 0
      if kind(key) ~= "ReJSON-RL" then
        redis.call("DEL", key)
      end
      redis.call("JSON.SET", key, "$", value)
      redis.call("JSON.SET", key, ".version", string.format("%.0f", last + 1))
    end
    if ttl > 0 then
      redis.call("EXPIRE", key, ttl)
    else
      redis.call("PERSIST", key)
    end
  end
end
return 0
