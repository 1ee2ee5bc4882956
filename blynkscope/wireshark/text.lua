-- Text of the wire, made fit for columns and items.

local INFO_MAX = 160 -- characters of one frame's reading in the Info column
local PARTS_MAX = 1024 -- parts of one body that get items of their own

-- UTF-8 that is well-formed and shows as something stays; every other byte becomes \xNN.
local function escaped(byte_text)
    return (byte_text:gsub(".", function(one) return string.format("\\x%02x", one:byte()) end))
end

local function sequence_size(first)
    if first >= 0xC2 and first <= 0xDF then return 2 end
    if first >= 0xE0 and first <= 0xEF then return 3 end
    if first >= 0xF0 and first <= 0xF4 then return 4 end
    return 0
end

local function shown_sequence(piece)
    local a, b, c = piece:byte(1, 3)
    if not piece:match("^.[\128-\191]+$") then return false end
    if a == 0xC2 and b < 0xA0 then return false end -- C1 controls
    if (a == 0xE0 and b < 0xA0) or (a == 0xED and b > 0x9F) or (a == 0xF0 and b < 0x90) or (a == 0xF4 and b > 0x8F) then
        return false
    end
    if a == 0xE2 and b == 0x80 and c and c >= 0x8B and (c <= 0x8F or c >= 0xA8) then return false end -- bidi, separators
    if a == 0xE2 and b == 0x81 and c and c >= 0xA0 then return false end
    return not (a == 0xEF and b == 0xBB and c == 0xBF)
end

local function safe_high(run)
    local out, at = {}, 1
    while at <= #run do
        local size = sequence_size(run:byte(at))
        local piece = run:sub(at, at + size - 1)
        if size > 0 and #piece == size and shown_sequence(piece) then
            out[#out + 1] = piece
            at = at + size
        else
            out[#out + 1] = escaped(run:sub(at, at))
            at = at + 1
        end
    end
    return table.concat(out)
end

local function safe(raw)
    if not raw:find("[^\32-\126]") then return raw end
    return (raw:gsub("[%c\127]", escaped):gsub("[\128-\255]+", safe_high))
end

local function shortened(raw, most)
    if #raw <= most then return safe(raw) end
    return safe(raw:sub(1, most)) .. "..."
end

-- Secrets: what looks like a token, a mail address or a password inside a text.
local TOKEN_RUN = "%f[%w_%-]" .. ("[%w_%-]"):rep(TOKEN_LENGTH) .. "%f[^%w_%-]"
local MASKS = { token = "tok:...", email = "mail:...", password = "pass:..." }

local function without_secrets(raw)
    if #raw < 6 then return raw end
    local text = raw:gsub(TOKEN_RUN, MASKS.token)
    if text:find("@", 1, true) then
        text = text:gsub("[%w%.%_%+%-]+@[%w%.%-]+", MASKS.email)
    end
    if text:find("[Pp][Aa][Ss][Ss]") then
        text = text:gsub('("[Pp][Aa][Ss][Ss][%w_]*"%s*:%s*)"[^"]*"', '%1"' .. MASKS.password .. '"')
    end
    return text
end

-- Where the parts of a body are: offset and length of each, at most PARTS_MAX of them; the last takes what is left.
local function split(raw, from)
    local parts, at = {}, from or 1
    if at > #raw + 1 then return parts end
    while true do
        local stop = #parts < PARTS_MAX and raw:find("\0", at, true) or nil
        parts[#parts + 1] = { at - 1, (stop or #raw + 1) - at }
        if not stop then return parts end
        at = stop + 1
    end
end

local function part_text(raw, part)
    return raw:sub(part[1] + 1, part[1] + part[2])
end
