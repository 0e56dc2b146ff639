-- Wireshark dissector for the wire protocol of cryoctl, see SPEC.md.
-- Written by `python -m cryoctl_protocol.generate`; change the message table instead.
-- Tested with tshark 4.0. docs/how-to/watch-the-wire.md says how to install and use it.

-- generated: tables

local proto = Proto("cryoctl", "cryoctl")

-- Fields and expert infos ---------------------------------------------------------------------

local fields = {}      -- By abbreviation.
local declared = {}    -- In order.

local function declare(abbreviation, make, ...)
    local field = ProtoField[make](abbreviation, ...)
    fields[abbreviation] = field
    table.insert(declared, field)
end

local function choices_of(field)
    return field.choices and CHOICES[field.choices]
end

local function declare_number(abbreviation, field)
    local shown = field.kind == "hex" and base.HEX or base.DEC
    local make = (field.kind == "int" and "int" or "uint") .. 8 * field.size
    declare(abbreviation, make, field.name, shown, choices_of(field), 0, field.doc)
end

local function declare_bits(abbreviation, field)
    declare(abbreviation, "uint" .. 8 * field.size, field.name, base.HEX, nil, 0, field.doc)
    for _, bit in ipairs(BITS[field.choices]) do
        declare(abbreviation .. "." .. bit.name:lower(), "bool", bit.name, 8 * field.size,
            { "yes", "no" }, bit.value)
    end
end

local function declare_field(abbreviation, field)
    if field.kind == "text" then
        declare(abbreviation, "string", field.name, base.ASCII, field.doc)
    elseif field.kind == "bits" then
        declare_bits(abbreviation, field)
    elseif field.divisor then
        declare(abbreviation, "double", field.name, nil, field.doc)
    else
        declare_number(abbreviation, field)
    end
end

local message_names = {}
for id, message in pairs(MESSAGES) do message_names[id] = message.name end

declare("cryoctl.version", "uint8", "version", base.DEC, nil, 0xF0, "version of the frame")
declare("cryoctl.flags", "uint8", "flags", base.HEX, nil, 0x0F, "flags of the frame")
declare("cryoctl.flags.tagged", "bool", "tagged", 8, { "yes", "no" }, FLAG_TAGGED)
declare("cryoctl.message_id", "uint8", "message_id", base.HEX, message_names, 0, "kind of message")
declare("cryoctl.seq", "uint16", "seq", base.DEC, nil, 0, "sequence number, counts losses")
declare("cryoctl.session", "uint32", "session", base.HEX, nil, 0, "session, 0 outside one")
declare("cryoctl.payload", "bytes", "payload", base.NONE, "payload that is not taken apart")
declare("cryoctl.vendor", "bytes", "vendor", base.NONE, "payload of a maker's own message")
declare("cryoctl.tag", "bytes", "tag", base.NONE, "authentication tag, not verified here")
declare("cryoctl.crc", "uint32", "crc", base.HEX, nil, 0, "CRC-32 of header, payload and tag")
declare("cryoctl.crc.status", "uint8", "crc status", base.DEC, { [0] = "bad", [1] = "good" })
for _, message in pairs(MESSAGES) do
    for _, field in ipairs(message.fields) do
        declare_field(message.abbreviation .. "." .. field.name, field)
    end
end
proto.fields = declared

local experts = {}
for reason, text in pairs(REJECTS) do
    experts[reason] = ProtoExpert.new("cryoctl.reject." .. reason, reason .. ": " .. text,
        expert.group.PROTOCOL, expert.severity.ERROR)
end
experts.cut = ProtoExpert.new("cryoctl.cut", "the capture does not hold the whole frame",
    expert.group.UNDECODED, expert.severity.NOTE)
proto.experts = experts

-- Marks an item, and returns what the Info column says.
local function reject(item, reason)
    item:add_proto_expert_info(experts[reason])
    return "REJECT " .. reason
end

-- Bodies --------------------------------------------------------------------------------------

local function names_of_bits(field, raw)
    local names = {}
    for _, bit in ipairs(BITS[field.choices]) do
        if math.floor(raw / bit.value) % 2 == 1 then table.insert(names, bit.name) end
    end
    return table.concat(names, ", ")
end

local function add_bits(tree, abbreviation, field, range)
    local names = names_of_bits(field, range:le_uint())
    local item = tree:add_le(fields[abbreviation], range):append_text(" (" .. names .. ")")
    for _, bit in ipairs(BITS[field.choices]) do
        item:add_le(fields[abbreviation .. "." .. bit.name:lower()], range)
    end
    return names
end

local function number_text(field, raw)
    if field.divisor then return string.format("%.1f", raw / field.divisor) end
    local names = choices_of(field)
    return names and names[raw] or string.format("%d", raw)
end

local function add_number(tree, abbreviation, field, range)
    local raw = field.kind == "int" and range:le_int() or range:le_uint()
    local item
    if field.divisor then
        item = tree:add(fields[abbreviation], range, raw / field.divisor)
    else
        item = tree:add_le(fields[abbreviation], range)
    end
    if field.unit then item:append_text(" " .. field.unit) end
    if (field.low and raw < field.low) or (field.high and raw > field.high) then
        reject(item, "range")
    end
    return number_text(field, raw)
end

-- Text up to its padding, for the Info column, which takes no more than ASCII from strangers.
local function unpadded(range)
    local text = range:bytes():raw()
    local stop = text:find("\0", 1, true) or #text + 1
    local shown = text:sub(1, stop - 1):gsub("[^\32-\126]", "?")
    return shown
end

-- Shows one field and returns its text for the Info column.
local function add_field(tree, abbreviation, field, range)
    if field.kind == "text" then
        tree:add(fields[abbreviation], range)
        return unpadded(range)
    elseif field.kind == "bits" then
        return add_bits(tree, abbreviation, field, range)
    elseif field.size == 8 then
        tree:add_le(fields[abbreviation], range)
        return tostring(range:le_uint64())
    end
    return add_number(tree, abbreviation, field, range)
end

local function add_message(tree, message, tvb)
    local texts = {}
    for _, field in ipairs(message.fields) do
        local range = tvb(HEADER_SIZE + field.offset, field.size)
        texts[field.name] = add_field(tree, message.abbreviation .. "." .. field.name, field, range)
    end
    return message.name .. " " .. message.summary:gsub("{([%w_]+)}", texts)
end

local function add_bytes(tree, abbreviation, tvb, size)
    if size > 0 then tree:add(fields[abbreviation], tvb(HEADER_SIZE, size)) end
end

-- Shows a payload of `size` bytes, less than 0 where a tag is promised that has no room.
local function add_payload(tree, id, tvb, size, body_size)
    local message = MESSAGES[id]
    if message and size == message.size then
        return add_message(tree, message, tvb)
    elseif message then
        add_bytes(tree, "cryoctl.payload", tvb, size)
        return reject(tree, "size")
    elseif id < VENDOR_ID_FIRST or id > VENDOR_ID_LAST then
        add_bytes(tree, "cryoctl.payload", tvb, size)
        return reject(tree, "unknown_id")
    elseif size < 0 then
        return reject(tree, "short")
    elseif body_size > BODY_SIZE_MAX then
        add_bytes(tree, "cryoctl.payload", tvb, size)
        return reject(tree, "oversize")
    end
    add_bytes(tree, "cryoctl.vendor", tvb, size)
    return string.format("VENDOR 0x%02X %d bytes", id, size)
end

-- Shows the body in the first `size` bytes of `tvb` and returns its line for the Info column.
local function add_body(tree, tvb, size)
    if size < HEADER_SIZE then return reject(tree, "short") end
    local first, id = tvb(0, 1):uint(), tvb(1, 1):uint()
    tree:add(fields["cryoctl.version"], tvb(0, 1))
    tree:add(fields["cryoctl.flags"], tvb(0, 1)):add(fields["cryoctl.flags.tagged"], tvb(0, 1))
    tree:add(fields["cryoctl.message_id"], tvb(1, 1))
    tree:add_le(fields["cryoctl.seq"], tvb(2, 2))
    tree:add_le(fields["cryoctl.session"], tvb(4, 4))
    local flags = first % 16
    if first - flags ~= 16 * FRAME_VERSION then return reject(tree, "version") end
    if flags ~= 0 and flags ~= FLAG_TAGGED then return reject(tree, "flags") end

    local tag_size = flags == FLAG_TAGGED and TAG_SIZE or 0
    local line = add_payload(tree, id, tvb, size - HEADER_SIZE - tag_size, size)
    if tag_size > 0 and size >= HEADER_SIZE + TAG_SIZE then
        tree:add(fields["cryoctl.tag"], tvb(size - TAG_SIZE, TAG_SIZE))
    elseif MESSAGES[id] and MESSAGES[id].tagged then
        reject(tree, "untagged")
    end
    return line
end

-- Stream links: COBS( body | crc ) 0x00 --------------------------------------------------------

-- Lua 5.3 has an operator; 5.2 would not even read it.
local bxor = bit32 and bit32.bxor or load("return function(a, b) return a ~ b end")()

local crc_table = {}
for byte = 0, 255 do
    local value = byte
    for _ = 1, 8 do
        local half = math.floor(value / 2)
        value = value % 2 == 1 and bxor(half, 0xEDB88320) or half
    end
    crc_table[byte] = value
end

local function crc32(text)
    local crc = 0xFFFFFFFF
    for at = 1, #text do
        crc = bxor(math.floor(crc / 256), crc_table[bxor(crc % 256, text:byte(at))])
    end
    return bxor(crc, 0xFFFFFFFF)
end

-- Returns nothing where `chunk`, which holds no 0, is no COBS.
local function cobs_decode(chunk)
    local groups, at = {}, 1
    while at <= #chunk do
        local code = chunk:byte(at)
        if at + code > #chunk + 1 then return nil end
        table.insert(groups, chunk:sub(at + 1, at + code - 1))
        at = at + code
    end
    return table.concat(groups, "\0")
end

local function add_checked(tree, whole)
    local size = #whole - CRC_SIZE
    if size < 0 then return reject(tree, "crc") end
    local tvb = ByteArray.new(whole, true):tvb("cryoctl frame")
    local range = tvb(size, CRC_SIZE)
    local expected = crc32(whole:sub(1, size))
    local is_good = range:le_uint() == expected
    local line
    if is_good then line = add_body(tree, tvb, size) end
    local item = tree:add_le(fields["cryoctl.crc"], range)
    item:add(fields["cryoctl.crc.status"], range, is_good and 1 or 0):set_generated()
    if is_good then return line end
    item:append_text(string.format(", should be 0x%08x", expected))
    return reject(item, "crc")
end

local function add_frame(tree, chunk)
    if #chunk > WIRE_SIZE_MAX then return reject(tree, "oversize") end
    local whole = cobs_decode(chunk)
    if not whole then return reject(tree, "cobs") end
    return add_checked(tree, whole)
end

local function add_tree(tree, range, add, ...)
    local item = tree:add(proto, range)
    local line = add(item, ...)
    item:set_text("cryoctl " .. line)
    return line
end

-- What is left of a segment without a delimiter: the start of a frame, or nothing that can be one.
local function add_rest(tvb, pinfo, tree, start)
    local range = tvb(start)
    if range:len() > WIRE_SIZE_MAX then
        return add_tree(tree, range, reject, "oversize")
    elseif tvb:reported_len() > tvb:captured_len() or pinfo.can_desegment == 0 then
        return add_tree(tree, range, reject, "cut")
    end
    pinfo.desegment_offset = start
    pinfo.desegment_len = DESEGMENT_ONE_MORE_SEGMENT
    return nil
end

function proto.dissector(tvb, pinfo, tree)
    local bytes = tvb:raw()
    local lines, start = {}, 1
    local stop = bytes:find("\0", start, true)
    while stop do
        local range = tvb(start - 1, stop - start + 1)
        if stop > start then
            table.insert(lines, add_tree(tree, range, add_frame, bytes:sub(start, stop - 1)))
        else
            tree:add(proto, range):set_text("cryoctl delimiter")
        end
        start = stop + 1
        stop = bytes:find("\0", start, true)
    end
    if start <= #bytes then table.insert(lines, add_rest(tvb, pinfo, tree, start - 1)) end
    if #lines > 0 or start > 1 then
        pinfo.cols.protocol = "cryoctl"
        pinfo.cols.info = #lines > 0 and table.concat(lines, ", ") or "delimiter"
    end
    return #bytes
end

local tcp_port = DissectorTable.get("tcp.port")
local bound_ports = TCP_PORTS
proto.prefs.tcp_ports = Pref.range("TCP ports", TCP_PORTS, "Ports that carry frames", 65535)
tcp_port:add(bound_ports, proto)

function proto.prefs_changed()
    if bound_ports ~= "" then tcp_port:remove(bound_ports, proto) end
    bound_ports = proto.prefs.tcp_ports
    if bound_ports ~= "" then tcp_port:add(bound_ports, proto) end
end

-- Message links: a body in an MQTT payload -----------------------------------------------------

local mqtt_topic = Field.new("mqtt.topic")

-- Wireshark does not hand a topic to Lua: it is read from the tree, where there is one. A packet may hold several
-- messages; the last topic is that of the present one.
local function present_topic()
    local topics = { mqtt_topic() }
    return #topics > 0 and tostring(topics[#topics].value) or ""
end

local function is_our_topic(topic)
    local leaf = topic:match("^cryo/1/[^/]+/[^/]+/(.+)$") or ""
    return LEAVES[leaf] or leaf:match("^ack/[^/]+$") ~= nil
end

-- Without a topic (an alias stands for it, or no tree is made) a body is known by id and size.
local function looks_like_a_body(tvb)
    if tvb:len() < HEADER_SIZE then return false end
    local tagged = tvb(0, 1):uint() - 16 * FRAME_VERSION
    local message = MESSAGES[tvb(1, 1):uint()]
    return (tagged == 0 or tagged == FLAG_TAGGED) and message ~= nil
        and tvb:len() == HEADER_SIZE + message.size + (tagged == 0 and 0 or TAG_SIZE)
end

local function dissect_mqtt(tvb, pinfo, tree)
    local topic = present_topic()
    if topic == "" then
        if not looks_like_a_body(tvb) then return false end
    elseif not is_our_topic(topic) then
        return false
    end
    local line = add_tree(tree, tvb(), add_body, tvb, tvb:len())
    pinfo.cols.protocol = "cryoctl"
    pinfo.cols.info:append(" " .. line)
    return true
end

proto:register_heuristic("mqtt.topic", dissect_mqtt)
