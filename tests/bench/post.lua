-- What wrk sends: a POST whose path is the message, another one each time.
--   POST_PREFIX  what stands before the message in the path
--   POST_QUERY   what stands after it, with its question mark
--   POST_TOKEN   a bearer token; without it the request has no credential
--   POST_SPREAD  set: each request names another client address, as a router in front would
--   POST_PAUSE   milliseconds between an answer and the next request of a connection
local prefix = os.getenv("POST_PREFIX") or "/post/channel/4yoxrz5kqigpipsrhfkfp3jdzc/msg/"
local query = os.getenv("POST_QUERY") or ""
local token = os.getenv("POST_TOKEN")
local spread = os.getenv("POST_SPREAD")
local pause = tonumber(os.getenv("POST_PAUSE"))

local n = 0
function request()
  n = n + 1
  local headers = {}
  if token then headers["Authorization"] = "Bearer " .. token end
  if spread then
    headers["X-Forwarded-For"] = "10." .. n % 251 .. "." .. math.floor(n / 251) % 251 .. "." .. math.floor(n / 63001) % 251
  end
  return wrk.format("POST", prefix .. "Build%20%23" .. n .. "%20of%20main%20passed%20in%2012%20s%20%F0%9F%8E%89" .. query, headers)
end

-- wrk counts the time from behind it.
if pause then function delay() return pause end end

local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() codes = {} end
function response(status) codes[status] = (codes[status] or 0) + 1 end

-- One line that `run` reads.
function done(summary, latency)
  local total = {}
  for _, thread in ipairs(threads) do
    for code, count in pairs(thread:get("codes")) do total[code] = (total[code] or 0) + count end
  end
  local parts = {}
  for code, count in pairs(total) do parts[#parts + 1] = code .. "=" .. count end
  local e = summary.errors
  io.write(string.format("RESULT requests=%d us=%d p50=%d p99=%d errors=%d codes=%s\n", summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.timeout,
    table.concat(parts, ",")))
end
