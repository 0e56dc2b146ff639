-- Wireshark dissector for the wire protocol of cryoctl, see SPEC.md.
-- Written by `python -m cryoctl_protocol.generate`; change the message table instead.
-- Tested with tshark 4.0. docs/how-to/watch-the-wire.md says how to install and use it.

local FRAME_VERSION = 1
local FLAG_TAGGED = 1
local HEADER_SIZE = 8
local CRC_SIZE = 4
local TAG_SIZE = 8
local BODY_SIZE_MAX = 216
local WIRE_SIZE_MAX = 221
local VENDOR_ID_FIRST = 0xC0
local VENDOR_ID_LAST = 0xEF
local TCP_PORTS = "7070"
local LEAVES = { birth = true, state = true, tele = true, event = true, cmd = true, lease = true }
local REJECTS = {
    oversize = "longer than WIRE_SIZE_MAX, or a body than BODY_SIZE_MAX",
    cobs = "not a COBS group",
    crc = "checksum differs",
    short = "no room for header, or for the tag that the flags promise",
    version = "another FRAME_VERSION",
    flags = "a flag that this version does not know",
    unknown_id = "neither a message of the table nor of the vendor range",
    size = "not the one payload size of its message id",
    untagged = "no tag where the table asks for one",
    range = "a value outside its field's range",
}
local CHOICES = {
    bool = { [0] = "no", [1] = "yes" },
    DeviceState = { [0] = "IDLE", [1] = "SELF_TEST", [2] = "LEAK_TEST", [3] = "ARMED", [4] = "STARTED", [5] = "PREWARM", [6] = "FREEZE", [7] = "THAW", [8] = "SAFE", [9] = "FAULT", [10] = "STIMULATE" },
    HostMode = { [0] = "IDLE", [1] = "FREEZE", [2] = "THAW" },
    Op = { [1] = "SELF_TEST", [2] = "LEAK_TEST", [3] = "ARM", [4] = "START", [5] = "PREWARM", [6] = "FREEZE", [7] = "SETPOINT", [8] = "THAW", [9] = "END", [10] = "CLEAR", [11] = "STOP", [12] = "STIMULATE" },
    Answer = { [0] = "ACCEPTED", [1] = "WRONG_STATE", [2] = "OUT_OF_RANGE", [3] = "NOT_AUTHORISED", [4] = "STALE", [5] = "OLD_COUNTER", [6] = "FAULT_LATCHED", [7] = "NOT_PROVIDED", [8] = "PRESSURE", [9] = "BATTERY", [10] = "SENSOR", [11] = "TIP_COLD" },
    Result = { [0] = "OK", [1] = "FAILED", [2] = "ABORTED" },
    SafeAction = { [0] = "OFF", [1] = "THAW" },
    ThawMode = { [0] = "PASSIVE", [1] = "ACTIVE" },
    StimulusResponse = { [0] = "NONE", [1] = "SENSORY", [2] = "MOTOR" },
    EventCode = { [1] = "BOOT", [2] = "SESSION_OPENED", [3] = "SESSION_DROPPED", [4] = "STATE", [5] = "TRIP", [6] = "STOPPED", [7] = "CLEARED", [8] = "OWNER_LAPSED" },
    Trip = { [0] = "NONE", [1] = "TIP_FLOOR", [2] = "VALVE_STUCK", [3] = "LEAK", [4] = "FREEZE_TIMER", [5] = "TIP_SENSOR", [6] = "TIP_FROZEN_READING", [7] = "NO_COOLING", [8] = "HEATER", [9] = "SKIN_COLD", [10] = "OVERPRESSURE", [11] = "EXHAUST_BLOCKED", [12] = "FLOW_HIGH", [13] = "INTEGRITY", [14] = "LEASE", [15] = "BATTERY", [16] = "MODE_MISMATCH", [17] = "LINK", [18] = "TICK_LATE", [19] = "COMMAND_FAILED", [20] = "OPERATOR_STOP", [21] = "INTERNAL", [22] = "THAW_TIMEOUT", [23] = "DEVICE_RESTART", [24] = "SENSOR_OPEN", [25] = "OUTPUTS_OVERLAP", [26] = "SKIN_HOT", [27] = "READING_FROZEN" },
}
local BITS = {
    Capability = {
        { value = 1, name = "LEASE" },
        { value = 2, name = "FREEZE_TIMER" },
        { value = 4, name = "SECOND_SHUTOFF" },
        { value = 8, name = "AUTHENTICATION" },
        { value = 16, name = "TIP_HEATER" },
        { value = 32, name = "SKIN_WARMER" },
        { value = 64, name = "INNER_LOOP" },
        { value = 128, name = "SELF_TEST" },
        { value = 256, name = "LEAK_TEST" },
        { value = 512, name = "BEEPER" },
        { value = 1024, name = "LED" },
        { value = 2048, name = "STIMULATOR" },
    },
    Sensor = {
        { value = 1, name = "TIP" },
        { value = 2, name = "TIP_2" },
        { value = 4, name = "SKIN" },
        { value = 8, name = "SUPPLY_PRESSURE" },
        { value = 16, name = "EXHAUST_PRESSURE" },
        { value = 32, name = "EXHAUST_FLOW" },
        { value = 64, name = "CARTRIDGE_TEMP" },
        { value = 128, name = "BATTERY" },
        { value = 256, name = "BUTTON" },
        { value = 512, name = "RESPONSE" },
    },
}
local MESSAGES = {
    [0x01] = {
        name = "HELLO_HOST", abbreviation = "cryoctl.hello_host",
        size = 14, tagged = false,
        summary = "{major}.{minor}",
        fields = {
            { name = "major", offset = 0, size = 1, kind = "uint", doc = "protocol major version" },
            { name = "minor", offset = 1, size = 1, kind = "uint", doc = "protocol minor version" },
            { name = "schema_hash", offset = 2, size = 4, kind = "hex", doc = "hash of this message table" },
            { name = "host_nonce", offset = 6, size = 8, kind = "hex", doc = "fresh random number of the controller" },
        },
    },
    [0x02] = {
        name = "HELLO", abbreviation = "cryoctl.hello",
        size = 90, tagged = false,
        summary = "{device_id} {major}.{minor}",
        fields = {
            { name = "major", offset = 0, size = 1, kind = "uint", doc = "protocol major version" },
            { name = "minor", offset = 1, size = 1, kind = "uint", doc = "protocol minor version" },
            { name = "schema_hash", offset = 2, size = 4, kind = "hex", doc = "hash of this message table" },
            { name = "profile_hash", offset = 6, size = 4, kind = "hex", doc = "hash of the probe profile's limits" },
            { name = "boot_id", offset = 10, size = 4, kind = "hex", doc = "differs after every restart" },
            { name = "host_nonce", offset = 14, size = 8, kind = "hex", doc = "echo of the nonce answered, 0 on boot" },
            { name = "device_nonce", offset = 22, size = 8, kind = "hex", doc = "fresh random number of the device" },
            { name = "key_id", offset = 30, size = 1, kind = "uint", doc = "which key it holds; 0 is the public demo key" },
            { name = "owned", offset = 31, size = 1, kind = "uint", choices = "bool", low = 0, high = 1, doc = "1 while another controller's lease is alive" },
            { name = "capabilities", offset = 32, size = 4, kind = "bits", choices = "Capability", doc = "what it has (`Capability` bits)" },
            { name = "sensors", offset = 36, size = 4, kind = "bits", choices = "Sensor", doc = "sensors it has (`Sensor` bits)" },
            { name = "telemetry_period_ms", offset = 40, size = 2, kind = "uint", unit = "ms", doc = "time between TELEMETRY frames" },
            { name = "device_id", offset = 42, size = 16, kind = "text", doc = "serial number, ASCII, zero padded" },
            { name = "firmware_id", offset = 58, size = 16, kind = "text", doc = "firmware build, ASCII, zero padded" },
            { name = "profile_id", offset = 74, size = 16, kind = "text", doc = "probe profile, ASCII, zero padded" },
        },
    },
    [0x03] = {
        name = "VITALS", abbreviation = "cryoctl.vitals",
        size = 18, tagged = false,
        summary = "tip {tip_c} C {state}",
        fields = {
            { name = "device_ms", offset = 0, size = 4, kind = "uint", unit = "ms", doc = "device clock, wraps" },
            { name = "state", offset = 4, size = 1, kind = "uint", choices = "DeviceState", doc = "device state (`DeviceState`)" },
            { name = "tip_c", offset = 5, size = 4, kind = "int", unit = "C", divisor = 1000, doc = "tip temperature" },
            { name = "supply_bar", offset = 9, size = 4, kind = "int", unit = "bar", divisor = 1000, doc = "supply pressure, absolute" },
            { name = "valve_percent", offset = 13, size = 2, kind = "uint", unit = "%", divisor = 10, doc = "valve duty" },
            { name = "tip_heater_percent", offset = 15, size = 2, kind = "uint", unit = "%", divisor = 10, doc = "tip heater duty" },
            { name = "shutoff_open", offset = 17, size = 1, kind = "uint", choices = "bool", doc = "second shut-off open" },
        },
    },
    [0x10] = {
        name = "TELEMETRY", abbreviation = "cryoctl.telemetry",
        size = 70, tagged = false,
        summary = "tip {tip_c} C {state}",
        fields = {
            { name = "device_ms", offset = 0, size = 4, kind = "uint", unit = "ms", doc = "device clock when the sensors were read, wraps" },
            { name = "state", offset = 4, size = 1, kind = "uint", choices = "DeviceState", low = 0, high = 10, doc = "device state (`DeviceState`)" },
            { name = "trip", offset = 5, size = 1, kind = "uint", choices = "Trip", low = 0, high = 27, doc = "first cause of being safe, kept until cleared (`Trip`)" },
            { name = "open_circuit", offset = 6, size = 2, kind = "bits", choices = "Sensor", doc = "sensors found open (`Sensor` bits)" },
            { name = "tip_c", offset = 8, size = 4, kind = "int", unit = "C", divisor = 1000, doc = "tip temperature" },
            { name = "tip_2_c", offset = 12, size = 4, kind = "int", unit = "C", divisor = 1000, doc = "second tip thermocouple" },
            { name = "skin_c", offset = 16, size = 4, kind = "int", unit = "C", divisor = 1000, doc = "skin at the needle's base" },
            { name = "supply_bar", offset = 20, size = 4, kind = "int", unit = "bar", divisor = 1000, doc = "supply pressure, absolute" },
            { name = "exhaust_bar", offset = 24, size = 4, kind = "int", unit = "bar", divisor = 1000, doc = "exhaust pressure, absolute" },
            { name = "exhaust_flow_mg_s", offset = 28, size = 4, kind = "int", unit = "mg/s", divisor = 1000, doc = "gas leaving the exhaust" },
            { name = "cartridge_c", offset = 32, size = 4, kind = "int", unit = "C", divisor = 1000, doc = "cartridge temperature" },
            { name = "battery_v", offset = 36, size = 2, kind = "uint", unit = "V", divisor = 1000, doc = "battery voltage" },
            { name = "button", offset = 38, size = 1, kind = "uint", choices = "bool", low = 0, high = 1, doc = "handpiece button pressed" },
            { name = "setpoint_c", offset = 39, size = 4, kind = "int", unit = "C", divisor = 1000, doc = "set-point of the inner loop" },
            { name = "valve_percent", offset = 43, size = 2, kind = "uint", unit = "%", divisor = 10, low = 0, high = 1000, doc = "valve duty" },
            { name = "shutoff_open", offset = 45, size = 1, kind = "uint", choices = "bool", low = 0, high = 1, doc = "second shut-off open" },
            { name = "tip_heater_percent", offset = 46, size = 2, kind = "uint", unit = "%", divisor = 10, low = 0, high = 1000, doc = "tip heater duty" },
            { name = "skin_warmer_percent", offset = 48, size = 2, kind = "uint", unit = "%", divisor = 10, low = 0, high = 1000, doc = "skin warmer duty" },
            { name = "led", offset = 50, size = 1, kind = "uint", choices = "bool", low = 0, high = 1, doc = "handpiece light on" },
            { name = "beeper", offset = 51, size = 1, kind = "uint", choices = "bool", low = 0, high = 1, doc = "handpiece beeper on" },
            { name = "stimulus_ma", offset = 52, size = 2, kind = "uint", unit = "mA", divisor = 1000, low = 0, high = 10000, doc = "stimulator output, 0: off" },
            { name = "stimulus_hz", offset = 54, size = 1, kind = "uint", unit = "Hz", low = 0, high = 100, doc = "pulses a second" },
            { name = "stimulus_pulse_us", offset = 55, size = 2, kind = "uint", unit = "us", low = 0, high = 1000, doc = "width of a pulse" },
            { name = "stimulus_response", offset = 57, size = 1, kind = "uint", choices = "StimulusResponse", low = 0, high = 2, doc = "to the present stimulus (`StimulusResponse`)" },
            { name = "freeze_ms", offset = 58, size = 4, kind = "uint", unit = "ms", doc = "length of the present or last freeze" },
            { name = "thaw_energy_j", offset = 62, size = 4, kind = "uint", unit = "J", divisor = 1000, doc = "tip heater energy of this thaw" },
            { name = "lease_left_ms", offset = 66, size = 2, kind = "uint", unit = "ms", doc = "life left in the controller's lease" },
            { name = "event_count", offset = 68, size = 2, kind = "uint", doc = "EVENT messages sent since boot, wraps" },
        },
    },
    [0x11] = {
        name = "EVENT", abbreviation = "cryoctl.event",
        size = 17, tagged = true,
        summary = "{code} {state} {trip}",
        fields = {
            { name = "device_ms", offset = 0, size = 4, kind = "uint", unit = "ms", doc = "device clock, wraps" },
            { name = "number", offset = 4, size = 2, kind = "uint", doc = "counts events since boot, wraps; a gap is a loss" },
            { name = "code", offset = 6, size = 1, kind = "uint", choices = "EventCode", low = 1, high = 8, doc = "what happened (`EventCode`)" },
            { name = "state", offset = 7, size = 1, kind = "uint", choices = "DeviceState", low = 0, high = 10, doc = "device state afterwards (`DeviceState`)" },
            { name = "trip", offset = 8, size = 1, kind = "uint", choices = "Trip", low = 0, high = 27, doc = "cause, for TRIP and STOPPED (`Trip`)" },
            { name = "value", offset = 9, size = 4, kind = "int", doc = "measured value in the unit of its telemetry field" },
            { name = "limit", offset = 13, size = 4, kind = "int", doc = "the limit it broke" },
        },
    },
    [0x20] = {
        name = "COMMAND", abbreviation = "cryoctl.command",
        size = 32, tagged = true,
        summary = "{op} ctr {counter}",
        fields = {
            { name = "counter", offset = 0, size = 4, kind = "uint", doc = "grows by at least 1 with each new command" },
            { name = "deadline_ms", offset = 4, size = 4, kind = "uint", unit = "ms", doc = "device clock after which it is void" },
            { name = "op", offset = 8, size = 1, kind = "uint", choices = "Op", low = 1, high = 12, doc = "operation (`Op`)" },
            { name = "mode", offset = 9, size = 1, kind = "uint", choices = "ThawMode", low = 0, high = 1, doc = "THAW: how to warm (`ThawMode`)" },
            { name = "cycles", offset = 10, size = 1, kind = "uint", low = 0, high = 20, doc = "ARM: freezes to authorise" },
            { name = "treatment_hash", offset = 11, size = 4, kind = "hex", doc = "ARM, START: treatment authorised" },
            { name = "setpoint_c", offset = 15, size = 4, kind = "int", unit = "C", divisor = 1000, doc = "FREEZE, SETPOINT: tip set-point" },
            { name = "duration_ms", offset = 19, size = 4, kind = "uint", unit = "ms", doc = "FREEZE, PREWARM, STIMULATE: at most" },
            { name = "energy_j", offset = 23, size = 4, kind = "uint", unit = "J", divisor = 1000, doc = "THAW: tip heater energy allowed" },
            { name = "stimulus_ma", offset = 27, size = 2, kind = "uint", unit = "mA", divisor = 1000, low = 0, high = 10000, doc = "STIMULATE: amplitude, 0 turns it off" },
            { name = "stimulus_hz", offset = 29, size = 1, kind = "uint", unit = "Hz", low = 0, high = 100, doc = "STIMULATE: pulses a second" },
            { name = "stimulus_pulse_us", offset = 30, size = 2, kind = "uint", unit = "us", low = 0, high = 1000, doc = "STIMULATE: width of a pulse" },
        },
    },
    [0x21] = {
        name = "LEASE", abbreviation = "cryoctl.lease",
        size = 9, tagged = true,
        summary = "{mode} ctr {counter}",
        fields = {
            { name = "counter", offset = 0, size = 4, kind = "uint", doc = "grows with each lease" },
            { name = "mode", offset = 4, size = 1, kind = "uint", choices = "HostMode", low = 0, high = 2, doc = "what the controller thinks the probe is doing (`HostMode`)" },
            { name = "valid_until_ms", offset = 5, size = 4, kind = "uint", unit = "ms", doc = "device clock; capped at now + 300 ms" },
        },
    },
    [0x22] = {
        name = "STOP", abbreviation = "cryoctl.stop",
        size = 10, tagged = true,
        summary = "ctr {counter} {action} {trip}",
        fields = {
            { name = "counter", offset = 0, size = 4, kind = "uint", doc = "names this stop in its answer" },
            { name = "boot_id", offset = 4, size = 4, kind = "hex", doc = "boot id of the device meant" },
            { name = "action", offset = 8, size = 1, kind = "uint", choices = "SafeAction", low = 0, high = 1, doc = "outputs off, or device-run thaw if frozen (`SafeAction`)" },
            { name = "trip", offset = 9, size = 1, kind = "uint", choices = "Trip", low = 0, high = 27, doc = "why (`Trip`)" },
        },
    },
    [0x30] = {
        name = "ACK", abbreviation = "cryoctl.ack",
        size = 6, tagged = true,
        summary = "{counter} {answer}",
        fields = {
            { name = "counter", offset = 0, size = 4, kind = "uint", doc = "counter of the command answered" },
            { name = "op", offset = 4, size = 1, kind = "uint", choices = "Op", low = 1, high = 12, doc = "operation answered (`Op`)" },
            { name = "answer", offset = 5, size = 1, kind = "uint", choices = "Answer", low = 0, high = 11, doc = "taken, or why not (`Answer`)" },
        },
    },
    [0x31] = {
        name = "DONE", abbreviation = "cryoctl.done",
        size = 10, tagged = true,
        summary = "{counter} {op} {result}",
        fields = {
            { name = "counter", offset = 0, size = 4, kind = "uint", doc = "counter of the command answered" },
            { name = "op", offset = 4, size = 1, kind = "uint", choices = "Op", low = 1, high = 12, doc = "operation ended (`Op`)" },
            { name = "result", offset = 5, size = 1, kind = "uint", choices = "Result", low = 0, high = 2, doc = "how it ended (`Result`)" },
            { name = "detail", offset = 6, size = 4, kind = "int", doc = "LEAK_TEST: pressure decay in mbar; else 0" },
        },
    },
}

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
