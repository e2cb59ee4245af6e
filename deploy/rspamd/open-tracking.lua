-- Open tracking for mailcow-status: adds a small image to outgoing mail of mailboxes that opted in.
--
-- Put it at data/conf/rspamd/local.d/rspamd.lua (or load it from there with dofile) and restart rspamd-mailcow.
-- It reads from its environment:
--   TRACKER_URL     public address of the portal, such as https://mail.example.org/status
--   TRACKER_KEY     the secret of the same name of the portal
--   TRACKER_MAP     where this Rspamd reaches the portal, such as http://status-mailcow:8080/status; as TRACKER_URL
--   TRACKER_NOTICE  1: a line in the mail says that its sender learns of the opening
--
-- Who opted in comes from the portal as a map, which Rspamd reads in the background and keeps: no mail ever waits
-- for the portal. X-Track-Opens: yes (or no) decides for one mail and is taken out. Whatever goes wrong here, the
-- mail goes on as it was.

local hash = require 'rspamd_cryptobox_hash'
local logger = require 'rspamd_logger'
local util = require 'rspamd_util'

local HEADER = 'X-Track-Opens'
local SYMBOL = 'OPEN_TRACKED'
-- Longer mails are left alone.
local MOST_BYTES = 20 * 1024 * 1024

-- Parts that a change would break, or that are mails of somebody else. One of them, and the mail is left alone.
local UNTOUCHABLE = {
  '^multipart/signed$', '^multipart/encrypted$', '^multipart/report$', '^message/', '^text/calendar$',
  '^application/ics$', '^application/x%-?pkcs7', '^application/pkcs7', '^application/pgp',
}

-- Charsets in which ASCII does not stand for itself.
local WIDE = { '^utf%-?16', '^utf%-?32', '^utf%-?7', '^ucs', '^iso%-10646', '^ibm', '^cp037' }

local function setting(name)
  local value = os.getenv(name)
  if value and value ~= '' then return value end
end

local function matches(text, patterns)
  for _, pattern in ipairs(patterns) do
    if text:find(pattern) then return true end
  end
  return false
end

-- The portal's src/model/open.rs makes the same and says what for.
local function token(key, queue_id, message_id, now, ip)
  local function mac(what, data)
    return hash.create_specific_keyed(key, 'sha256', what .. '\n' .. data):hex()
  end
  local mail = mac('mail', queue_id .. '\n' .. message_id):sub(1, 16)
  local pad = tonumber(mac('time', mail):sub(1, 8), 16)
  local time = string.format('%.8x', (now + pad) % 4294967296)
  local body = mail .. time .. mac('network', mail .. '\n' .. ip):sub(1, 8)
  return body .. mac('token', body):sub(1, 24)
end

-- Where the mail came from; of IPv6, the first 64 bits.
local function network(task)
  local ip = task:get_ip()
  if not ip or not ip:is_valid() then return '' end
  if ip:get_version() == 6 then ip = ip:apply_mask(64) end
  return ip:to_string()
end

local function markup(url, notice)
  local image = '<img src="' .. url .. '" width="1" height="1" alt="" style="border:0;width:1px;height:1px">'
  if not notice then return image end
  return '<p style="color:#767676;font-size:12px">This mail holds an image that tells its sender when it was '
    .. 'opened.<br><span lang="de">Diese Mail enth&auml;lt ein Bild, an dem der Absender sieht, wann sie '
    .. 'ge&ouml;ffnet wurde.</span></p>' .. image
end

-- Quoted-printable (RFC 2045, 6.7) with soft breaks around, so that it fits anywhere in a line.
local function quoted(text, newline)
  local out, width = { '=' .. newline }, 0
  for letter in text:gmatch('.') do
    local code = letter == '=' and '=3D' or letter
    if width + #code > 72 then
      out[#out + 1] = '=' .. newline
      width = 0
    end
    out[#out + 1] = code
    width = width + #code
  end
  out[#out + 1] = '=' .. newline
  return table.concat(out)
end

-- The HTML with the addition before the end of its body, or at its end.
local function inserted(html, addition)
  local lower, at = html:lower(), nil
  for _, tag in ipairs({ '</body', '</html' }) do
    local from = 1
    while true do
      local found = lower:find(tag, from, true)
      if not found then break end
      at, from = found, found + 1
    end
    if at then break end
  end
  at = at or #html + 1
  return html:sub(1, at - 1) .. addition .. html:sub(at)
end

-- The part's new raw content, in its own encoding; nil where that encoding is not for us.
local function rewritten(part, addition, newline)
  local declared = (part:get_header('Content-Transfer-Encoding') or '7bit'):lower():gsub('[%s;]', '')
  if declared == 'quoted-printable' then
    return inserted(tostring(part:get_raw_content()), quoted(addition, newline))
  elseif declared == 'base64' then
    local html = inserted(tostring(part:get_content()), addition)
    return tostring(util.encode_base64(html, 76, newline == '\n' and 'lf' or 'crlf')) .. newline
  elseif declared == '7bit' or declared == '8bit' or declared == 'binary' then
    return inserted(tostring(part:get_raw_content()), newline .. addition .. newline)
  end
end

-- The HTML part that gets the image: the last one that shows something. nil when the mail must stay as it is.
local function html_part(task)
  for _, part in ipairs(task:get_parts() or {}) do
    local kind, subtype = part:get_type()
    if matches(((kind or '') .. '/' .. (subtype or '')):lower(), UNTOUCHABLE) then return nil end
  end
  local chosen
  for _, text in ipairs(task:get_text_parts() or {}) do
    local part = text:get_mimepart()
    local content = text:get_content('raw_parsed') or ''
    if tostring(content):find('-----BEGIN PGP', 1, true) then return nil end
    local kind, subtype, parameters = part:get_type_full()
    local charset = ((parameters or {}).charset or ''):lower()
    local is_html = (kind or ''):lower() == 'text' and (subtype or ''):lower() == 'html'
    local is_shown = not part:is_attachment() and tostring(part:get_content()):find('%S')
    if is_html and is_shown and not matches(charset, WIDE) then chosen = part end
  end
  return chosen
end

-- Only people's own mail to the world outside.
local function is_outgoing(task, map, user)
  local from = task:get_from('smtp')
  local domain = user:match('@([^@]+)$')
  if not (from and from[1] and from[1].addr and from[1].addr ~= '') or not domain then return false end
  -- The map names the domains here, too; without it, nothing is known of them.
  if not map:get_key('@' .. domain) then return false end
  local auto = task:get_header('Auto-Submitted')
  if auto and auto:lower() ~= 'no' then return false end
  for _, recipient in ipairs(task:get_recipients('smtp') or {}) do
    if not map:get_key('@' .. (recipient.domain or ''):lower()) then return true end
  end
  return false
end

-- Where a text lies in memory.
local function address(text)
  return tonumber((tostring(text:ptr()):match('0x(%x+)')), 16)
end

-- The first and last byte of the part's raw content within the whole mail. The same words may stand elsewhere, too
-- (in a header, in the plain text beside), so its place in memory tells; nil where that is not sure.
local function place(whole, raw)
  local first = address(raw) - address(whole) + 1
  local last = first + #raw - 1
  if first < 1 or last > #whole or whole:span(first, #raw) ~= raw then return nil end
  return first, last
end

local function add_image(task, part, addition)
  local newline = task:get_newlines_type() == 'lf' and '\n' or '\r\n'
  local raw, whole = part:get_raw_content(), task:get_content()
  local fresh = rewritten(part, addition, newline)
  -- Everything around the part stays byte by byte, so that no header needs a change.
  local first, last = place(whole, raw)
  if not fresh or not first then return false end
  local pieces = { whole:span(1, first - 1), fresh }
  if last < #whole then pieces[3] = whole:span(last + 1) end
  task:set_message(pieces)
  return true
end

local function track(task, settings)
  local user = task:get_user()
  if not user then return end
  user = user:lower()
  local wish = task:get_header(HEADER)
  if wish then
    -- 0 stands for all headers of that name.
    task:set_milter_reply({ remove_headers = { [HEADER] = 0 } })
    if wish:lower():gsub('%s', '') ~= 'yes' then return end
  elseif not settings.map:get_key(user) then
    return
  end
  local queue_id = task:get_queue_id()
  if not queue_id or task:get_size() > MOST_BYTES or not is_outgoing(task, settings.map, user) then return end
  local part = html_part(task)
  if not part then return end
  local message_id = task:get_header('Message-Id') and task:get_message_id() or ''
  local mark = token(settings.key, queue_id, message_id, os.time(), network(task))
  local addition = markup(settings.url .. '/track/' .. mark .. '.gif', settings.notice)
  if add_image(task, part, addition) then task:insert_result(SYMBOL, 0.0) end
end

local function install()
  local url, key = setting('TRACKER_URL'), setting('TRACKER_KEY')
  if not url or not key then return end
  url = url:gsub('/+$', '')
  local map_key = hash.create_specific_keyed(key, 'sha256', 'map'):hex()
  local base = (setting('TRACKER_MAP') or url):gsub('/+$', '')
  local map = rspamd_config:add_map({
    url = base .. '/internal/tracked.map?key=' .. map_key,
    type = 'set',
    description = 'mailboxes that opted in to open tracking, and the domains here',
  })
  if not map then
    logger.errx(rspamd_config, 'open tracking is off: its map cannot be used')
    return
  end
  local settings = { url = url, key = key, map = map, notice = setting('TRACKER_NOTICE') == '1' }
  rspamd_config:register_symbol({
    name = SYMBOL,
    type = 'prefilter',
    -- Before Mailcow's footer (1) and long before DKIM signs.
    priority = 2,
    score = 0.0,
    description = 'The mail got the image of open tracking',
    callback = function(task)
      local fine, fault = pcall(track, task, settings)
      if not fine then logger.errx(task, 'open tracking failed, the mail stays as it was: %s', fault) end
    end,
  })
end

local fine, fault = pcall(install)
if not fine then logger.errx(rspamd_config, 'open tracking is off: %s', fault) end
