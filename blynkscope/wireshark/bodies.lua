-- Bodies: what is wrong with one, and its columns.

local function digits(text)
    return text:find("^%d+$") ~= nil
end

local function quoted(text)
    return "'" .. shortened(text, 20) .. "'"
end

local function pin_problem(text)
    if digits(text) and #text <= 3 then return nil end
    return quoted(text) .. " is no pin number"
end

local function operation_problem(raw, parts, first)
    local op = parts[first] and part_text(raw, parts[first]) or ""
    local operation = OPERATIONS[op]
    if not operation then
        if op:find("^%a%a$") then return nil end
        return quoted(op) .. " is no operation"
    end
    if operation.shape == "values" then
        if not parts[first + 1] then return op .. " without a pin" end
        if not parts[first + 2] then return op .. " without a value" end
        local problem = pin_problem(part_text(raw, parts[first + 1]))
        if problem then return problem end
        if #parts == first + 2 and parts[first + 2][2] == 0 then return op .. " with an empty value" end
        return nil
    end
    local step = operation.shape == "modes" and 2 or 1
    for index = first + 1, #parts, step do
        if parts[index][2] > 0 then
            local problem = pin_problem(part_text(raw, parts[index]))
            if problem then return problem end
        end
    end
    return nil
end

local CHECKS = {}

function CHECKS.operation(raw, parts)
    return operation_problem(raw, parts, 1)
end

function CHECKS.target(raw, parts)
    local target = part_text(raw, parts[1])
    local dash, device = target:match("^([^%-]*)%-?(.*)$")
    if not digits(dash) or (device ~= "" and not digits(device)) then
        return quoted(target) .. " is no dashboard-device address"
    end
    return parts[2] and operation_problem(raw, parts, 2)
end

function CHECKS.sync(raw, parts)
    local op = part_text(raw, parts[1])
    if op ~= "vr" and op ~= "ar" and op ~= "dr" then return quoted(op) .. " cannot be synchronised" end
    return operation_problem(raw, parts, 1)
end

-- Has a bridge's message the pin of the bridge in front? What the server hands on to the other device has none.
local function names_bridge(raw)
    return raw:find("^%d+$") ~= nil or raw:find("^%d+\0") ~= nil
end

function CHECKS.bridge(raw, parts)
    if not names_bridge(raw) then
        -- The schema reads the operation from the first part then; an `i` there makes it an initialisation.
        if part_text(raw, parts[1]) == "i" then return pin_problem("") end
        return operation_problem(raw, parts, 1)
    end
    return pin_problem(part_text(raw, parts[1]))
        or ((not parts[2] or parts[2][2] == 0) and "no bridge command" or nil)
end

function CHECKS.pairs(raw, parts)
    local key = part_text(raw, parts[1])
    if key ~= "" and not key:find("[^\33-\126]") then return nil end
    return quoted(key) .. " is no key"
end

function CHECKS.token(raw, parts)
    if part_text(raw, parts[1]):find("[^\33-\126]") then return "a token holds printable ASCII only" end
    return nil
end

function CHECKS.mail(_, parts)
    return not parts[2] and "no text after the subject" or nil
end

-- Why a body does not parse for its command, or nil.
local function body_problem(row, raw)
    local layout = LAYOUTS[row.layout]
    if #raw < layout.shortest then
        return string.format("the body has %d bytes, at least %d are needed", #raw, layout.shortest)
    end
    if raw == "" then return nil end
    if layout.kind == "empty" then return "this command has no body" end
    local check = CHECKS[layout.check]
    if not check and layout.required == 0 then return nil end
    local parts = split(raw)
    if check then
        local problem = check(raw, parts)
        if problem then return problem end
    end
    if #parts < layout.required then return "no " .. (layout.names[#parts + 1] or "further part") end
    return nil
end

-- --- columns ---

local Columns = {} -- what the parts of one body are added to
Columns.__index = Columns

local function columns_of(tree, range, raw)
    return setmetatable({ tree = tree, range = range, raw = raw, secrets = blynk.prefs.show_secrets, info = {} }, Columns)
end

-- Text of a part as it may be shown.
function Columns:text(part, secret)
    local text = part_text(self.raw, part)
    if self.secrets then return text end
    if secret then return text == "" and "" or MASKS[secret] end
    return without_secrets(text)
end

function Columns:add(name, part, secret, prefix)
    local field, size = f[name] or f.text, part[2]
    local text = self:text(part, secret)
    local range = size > 0 and self.range(part[1], size) or self.range(math.min(part[1], self.range:len() - 1), 0)
    if prefix then
        text = prefix .. text
        self.tree:add(field, range, safe(text))
    elseif size > 0 and text == part_text(self.raw, part) and not text:find("\0", 1, true) then
        self.tree:add_packet_field(field, range, ENC_UTF_8)
    else
        self.tree:add(field, range, safe(text))
    end
    return text
end

function Columns:operation(parts, first)
    if not parts[first] then return "" end
    local op = self:add("op", parts[first])
    local operation = OPERATIONS[part_text(self.raw, parts[first])]
    local words = {}
    if not operation then
        for index = first + 1, #parts do words[#words + 1] = self:add("arg", parts[index]) end
        return op .. (#words > 0 and " " .. table.concat(words, " ") or "")
    end
    if operation.shape == "values" then
        if not parts[first + 1] then return op .. " without a pin" end
        local pin = self:add("pin", parts[first + 1], nil, operation.letter)
        for index = first + 2, #parts do words[#words + 1] = self:add("value", parts[index]) end
        return op .. " " .. pin .. " = " .. table.concat(words, ", ")
    end
    for index = first + 1, #parts do
        if operation.shape == "modes" and (index - first) % 2 == 0 then
            words[#words] = words[#words] .. " " .. self:add("mode", parts[index])
        else
            words[#words + 1] = self:add("pin", parts[index], nil, operation.letter)
        end
    end
    return op .. " " .. table.concat(words, ", ")
end

local SHOW = {}

function SHOW.empty(columns, layout)
    return "unexpected body: " .. columns:add("extra", { 0, #columns.raw })
end

function SHOW.whole(columns, layout)
    local size = #columns.raw
    if size > 1 and columns.raw:byte(-1) == 0 then size = size - 1 end
    return columns:add(layout.names[1], { 0, size })
end

function SHOW.operation(columns)
    return columns:operation(split(columns.raw), 1)
end

function SHOW.sync(columns)
    return columns:operation(split(columns.raw), 1)
end

function SHOW.target(columns)
    local parts = split(columns.raw)
    local target = columns:add("target", parts[1])
    return parts[2] and target .. ": " .. columns:operation(parts, 2) or target
end

function SHOW.bridge(columns)
    local parts, first, reading = split(columns.raw), 1, ""
    if names_bridge(columns.raw) then
        reading = "bridge " .. columns:add("bridge", parts[1], nil, "V")
        first = 2
    end
    if parts[first] and part_text(columns.raw, parts[first]) == "i" then
        columns:add("op", parts[first])
        local token = parts[first + 1] and columns:add("token", parts[first + 1], "token") or "?"
        for index = first + 2, #parts do columns:add("extra", parts[index]) end
        return reading .. " to token " .. token
    end
    if not parts[first] then return reading end
    return (reading ~= "" and reading .. ": " or "") .. columns:operation(parts, first)
end

function SHOW.pairs(columns)
    local parts = split(columns.raw)
    -- The C++ library ends its info with a NUL.
    if #parts > 1 and parts[#parts][2] == 0 and #parts % 2 == 1 then parts[#parts] = nil end
    local words = {}
    if WHOLE_KEYS[part_text(columns.raw, parts[1])] then
        words[1] = columns:add("key", parts[1])
        for index = 2, #parts do words[#words + 1] = columns:add("key_value", parts[index]) end
        return table.concat(words, " ")
    end
    for index = 1, #parts, 2 do
        local key = columns:add("key", parts[index])
        local value = parts[index + 1] and columns:add("key_value", parts[index + 1])
        words[#words + 1] = value and key .. " " .. value or key
    end
    return table.concat(words, ", ")
end

function SHOW.mail(columns)
    local parts = split(columns.raw)
    local names = #parts >= 3 and { "to", "subject", "text" } or { "subject", "text" }
    if #parts > 3 then
        parts[3][2] = #columns.raw - parts[3][1] -- a text may hold NULs
    end
    local words = {}
    for index, name in ipairs(names) do
        if parts[index] then
            words[#words + 1] = columns:add(name, parts[index], name == "to" and "email" or nil)
        end
    end
    return table.concat(words, ", ")
end

local LEADING = {
    number = function(rest)
        local number = rest:match("^([%d%-]*)%f[^%d%-]")
        if not number or not (rest:sub(#number + 1, #number + 1) == "\0" or #number == #rest) then return false end
        local dash, device = number:match("^(%d+)%-?(%d*)$")
        return dash ~= nil and #dash <= 10 and #device <= 10 and number:sub(-1) ~= "-"
    end,
    host = function(rest) return rest ~= "" and not rest:find("[\0@]") end,
}

function SHOW.words(columns, layout)
    local parts, words, place = split(columns.raw), {}, 1
    for index, name in ipairs(layout.names) do
        local part = parts[place]
        if not part then break end
        local leading = layout.leading[index]
        if not LEADING[leading] or LEADING[leading](columns.raw:sub(part[1] + 1)) then
            words[#words + 1] = name .. " " .. columns:add(name, part, layout.secrets[index], layout.prefixes[index])
            place = place + 1
        end
    end
    if #layout.names == 1 and words[1] and not layout.secrets[1] then
        words[1] = words[1]:sub(#layout.names[1] + 2)
    end
    for index = place, #parts do
        -- A NUL after the last part is common and means nothing.
        if index < #parts or parts[index][2] > 0 then words[#words + 1] = columns:add(layout.rest, parts[index]) end
    end
    return table.concat(words, ", ")
end

function SHOW.packed(columns)
    return string.format("%d bytes, compressed or the number of a dashboard", #columns.raw)
end

-- Adds the columns of a body; gives its reading for the Info column.
local function show_body(row, tree, range, raw)
    local layout = LAYOUTS[row.layout]
    return SHOW[layout.kind](columns_of(tree, range, raw), layout)
end
