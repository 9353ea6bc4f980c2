"""The planted values: a database in which every masked column holds what stands nowhere else, and eyes that find it again in
whatever form it may come: plain, in upper or lower case, reversed, in hex, in base64, as bytes, in pieces, one character to a row."""
import base64
import datetime
import re
import secrets
import struct
import uuid

ROWS = 2
_RANDOM = secrets.SystemRandom()
_PG_EPOCH = datetime.date(2000, 1, 1)


def word(n=24):
    """Letters and digits; both cases; no vowels, so that no word of a language is in it."""
    letters = "bcdfghjklmnpqrstvwxzBCDFGHJKLMNPQRSTVWXZ23456789"
    return "Q" + "".join(_RANDOM.choice(letters) for _ in range(n - 1))


def digits(n):
    return str(_RANDOM.randrange(10 ** (n - 1), 10 ** n))


def micros():
    """Of a second. PostgreSQL does not write zeros at the end, so that there must be none to know the value by."""
    return digits(5) + str(_RANDOM.randrange(1, 10))


class Canary:
    """A value of one type: `sql` writes it, `forms` are the byte strings that betray it."""

    def __init__(self, kind):
        self.kind, self.words, self.numbers, self.raw = kind, [], [], []
        self.sql = getattr(self, f"_{kind}", self._words)()

    def _word(self):
        self.words.append(word())
        return self.words[-1]

    def _number(self, n):
        self.numbers.append(digits(n))
        return self.numbers[-1]

    def _words(self):
        return f"'{self._word()}'"

    def _json(self):
        return f"'{{\"k\": \"{self._word()}\", \"n\": [1, {{\"d\": \"{self._word()}\"}}]}}'"

    _jsonb = _json

    def _bytea(self):
        return f"'{self._word()}'::bytea"

    def _int(self):
        n = _RANDOM.randrange(10 ** 9, 2 ** 31)
        self.numbers.append(str(n))
        self.raw.append(struct.pack("!i", n))
        return str(n)

    def _big(self):
        n = self._number(18)
        self.raw.append(struct.pack("!q", int(n)))
        return n

    def _num(self):
        whole, part = self._number(16), digits(6)
        groups = [int(whole[i:i + 4]) for i in range(0, 16, 4)]
        self.raw.append(struct.pack("!4H", *groups))
        return f"{whole}.{part}"

    def _float(self):
        n = float(int(digits(15)))
        self.numbers.append(str(int(n)))
        self.raw.append(struct.pack("!d", n))
        return str(int(n))

    def _uuid(self):
        u = uuid.uuid4()
        self.words.append(u.hex)
        self.raw.append(u.bytes)
        return f"'{u}'"

    def _day(self):
        return datetime.date(_RANDOM.randrange(1010, 1690), _RANDOM.randrange(1, 13), _RANDOM.randrange(13, 29))

    def _date(self):
        d = self._day()
        self.numbers += [d.strftime("%Y%m%d"), d.strftime("%d%m%Y"), d.strftime("%m%d%Y")]
        self.raw.append(struct.pack("!i", (d - _PG_EPOCH).days))
        return f"'{d}'"

    def _ts(self):
        t = f"{_RANDOM.randrange(10, 24)}:{_RANDOM.randrange(10, 60)}:{_RANDOM.randrange(10, 60)}.{micros()}"
        d = self._day()
        self.numbers.append(re.sub(r"\D", "", t))
        h, m, s = t.split(":")
        us = (((d - _PG_EPOCH).days * 24 + int(h)) * 60 + int(m)) * 60_000_000 + round(float(s) * 1_000_000)
        self.raw.append(struct.pack("!q", us))
        return f"'{d} {t}'"

    def _tstz(self):
        return f"{self._ts()}::timestamp at time zone 'UTC'"

    def _time(self):
        t = f"{_RANDOM.randrange(10, 24)}:{_RANDOM.randrange(10, 60)}:{_RANDOM.randrange(10, 60)}.{micros()}"
        self.numbers.append(re.sub(r"\D", "", t))
        h, m, s = t.split(":")
        self.raw.append(struct.pack("!q", (int(h) * 60 + int(m)) * 60_000_000 + round(float(s) * 1_000_000)))
        return f"'{t}'"

    def _ival(self):
        n = self._number(9)
        self.raw.append(struct.pack("!i", int(n)))
        return f"'{n} days'"

    def _inet(self):
        parts = [_RANDOM.randrange(100, 256) for _ in range(4)]
        self.numbers.append("".join(map(str, parts)))
        self.raw.append(bytes(parts))
        return f"'{'.'.join(map(str, parts))}'"

    def _range(self):
        low, n = self._number(17), self._number(17)
        return f"int8range({min(int(low), int(n))}, {max(int(low), int(n))})"

    def _arr(self):
        return f"array['{self._word()}', null, '{self._word()}']"

    def _iarr(self):
        n = [self._number(17) for _ in range(2)]
        self.raw += [struct.pack("!q", int(i)) for i in n]
        return f"array[{', '.join(n)}]::bigint[]"

    def _comp(self):
        return f"row('{self._word()}', {self._number(9)})::pair"

    def _xml(self):
        return f"'<a>{self._word()}</a>'"

    def _tsv(self):
        w = self._word()
        self.words.append(w.lower())
        return f"to_tsvector('simple', '{w}')"

    def _money(self):
        n = self._number(12)
        self.raw.append(struct.pack("!q", int(n) * 100))
        return f"{n}::money"

    def _bit(self):
        b = "".join(_RANDOM.choice("01") for _ in range(48))
        self.numbers.append(b)
        self.raw.append(int(b, 2).to_bytes(6, "big"))
        return f"B'{b}'"

    def _mac(self):
        m = secrets.token_hex(6)
        self.words.append(m)
        self.raw.append(bytes.fromhex(m))
        return f"'{':'.join(m[i:i + 2] for i in range(0, 12, 2))}'"


def _base64_forms(data):
    """The inner part of its base64 at each of the three places where it can begin."""
    out = []
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + data)
        out.append(text[{0: 0, 1: 2, 2: 3}[shift]:(len(data) + shift) * 4 // 3 - 1])
    return out


class Eyes:
    """Finds any of the canaries in what came."""

    PIECE = 8  # characters of a word that are enough
    # In so many bytes what is shorter (a day's eight digits, four bytes of a number) can stand by chance.
    MUCH, LONG = 50_000, 9

    def __init__(self, canaries):
        self.folded, self.exact, self.base64 = {}, {}, {}
        for c in canaries:
            for w in c.words:
                low = w.lower()
                for n in (12, len(low)):
                    self.folded[low[:n].encode()] = self.folded[low[::-1][:n].encode()] = c
                for i in range(len(low) - self.PIECE + 1):
                    self.folded[low[i:i + self.PIECE].encode()] = c
                    self.folded[low[::-1][i:i + self.PIECE].encode()] = c
                for form in (w, w.lower(), w.upper(), w[::-1]):
                    self.folded[form.encode().hex()[:24].encode()] = c
                    self.exact[form.encode()] = c
                    for b in _base64_forms(form.encode()):
                        self.base64[b] = c
            for n in c.numbers:
                self.folded[n.encode()] = c
                self.folded[n[::-1].encode()] = c
                self.folded[n.encode().hex().encode()] = c
                for b in _base64_forms(n.encode()):
                    self.base64[b] = c
            for r in c.raw:
                self.exact[r] = c
                if len(r) >= 6:
                    self.folded[r.hex().encode()] = c
        self.folded, self.exact, self.base64 = map(self._index, (self.folded, self.exact, self.base64))

    @staticmethod
    def _index(forms):
        """By their first four bytes."""
        out = {}
        for form, canary in forms.items():
            out.setdefault(form[:4], []).append((form, canary))
        return out

    @staticmethod
    def _in(stream, forms):
        least = Eyes.LONG if len(stream) > Eyes.MUCH else 0
        for at in range(len(stream) - 3):
            for form, canary in forms.get(stream[at:at + 4], ()):
                if len(form) >= least and stream.startswith(form, at):
                    return canary
        return None

    def _stream(self, stream):
        folded = re.sub(rb"[^0-9a-z]", b"", stream.lower())
        return (self._in(stream, self.exact) or self._in(folded, self.folded)
                or self._in(re.sub(rb"[^0-9A-Za-z+/=]", b"", stream), self.base64))

    def see(self, raw, rows=()):
        """The canary that is in it, or None. raw: all bytes that came. rows: their values as bytes, None for NULL."""
        found = self._stream(raw)
        if found or not rows:
            return found
        columns = [b"".join(r[i] or b"" for r in rows if len(r) > i) for i in range(max(map(len, rows)))]
        streams = [b"".join(v or b"" for r in rows for v in r), *columns]
        for numbers in ([v for r in rows for v in r], *([r[i] for r in rows if len(r) > i] for i in range(max(map(len, rows))))):
            streams += [self._codes(numbers, 10), self._codes(numbers, 16)]
        return next(filter(None, map(self._stream, streams)), None)

    @staticmethod
    def _codes(values, base):
        """Each value the number of a character."""
        out = b""
        for v in values:
            try:
                n = int(v, base)
            except (TypeError, ValueError):
                continue
            out += bytes([n]) if 32 <= n < 127 else b""
        return out


COLUMNS = {
    "text": "text", "varchar": "varchar(60)", "char": "char(30)", "bytea": "bytea", "int": "int", "big": "bigint", "num": "numeric(30,6)",
    "float": "float8", "uuid": "uuid", "date": "date", "ts": "timestamp", "tstz": "timestamptz", "time": "time", "ival": "interval", "inet": "inet",
    "json": "json", "jsonb": "jsonb", "enum": "mood", "range": "int8range", "arr": "text[]", "iarr": "bigint[]", "comp": "pair", "dom": "code",
    "xml": "xml", "tsv": "tsvector", "money": "money", "bit": "bit(48)", "name": "name", "mac": "macaddr",
}


def make():
    """(canaries, SQL that plants them, the secret tokens and pins of the vault)."""
    rows = [{k: Canary(k) for k in COLUMNS} for _ in range(ROWS)]
    canaries = [c for r in rows for c in r.values()]
    labels = ", ".join(r["enum"].sql for r in rows)
    columns = ", ".join(f"c_{k} {t}" for k, t in COLUMNS.items())
    values = [f"({i}, 'person {i}', 'dept', " + ", ".join(r[k].sql for k in COLUMNS) + ")" for i, r in enumerate(rows, 1)]
    many = [Canary("text") for _ in range(3)]
    canaries += many
    activity = Canary("text")
    canaries.append(activity)
    vault = [(word(), digits(9)) for _ in range(3)]
    plant = _SCHEMA.format(
        labels=labels, columns=columns, values=",\n".join(values), names=", ".join(f"c_{k}" for k in COLUMNS),
        many=",\n".join(f"({m.sql}, 'n')" for m in many for _ in range(40)),
        vault=",\n".join(f"({i}, 'owner {i}', '{t}', {p}, 'note')" for i, (t, p) in enumerate(vault, 1)), guess=vault[0][0][:6])
    return canaries, plant, vault, activity


_SCHEMA = """
create type mood as enum ('calm', {labels});
create type pair as (a text, b int);
create domain code as text;
create type person_key as (id int);
create table people (id int primary key, name text, dept text, {columns});
insert into people values
{values};
create view people_view as select id, name, c_text as x, upper(c_text) as shout from people;
create view people_view2 as select q.x as z, q.name from (select * from people_view) q;
create view people_union as select name as v from people union all select c_text from people;
create view people_rows as select id, p as r from people p;
create view people_json as select id, to_jsonb(p) as j from people p;
create view people_barrier with (security_barrier) as select id, c_text as x from people where id > 0;
create materialized view people_mat as select id, c_text as x from people;
create view text_view as select id, query_to_xml('select c_text from people', true, false, '') as x from people;
create view text_view2 as select t.x::text as y from text_view t;
create view stat_view as select word as w from ts_stat('select c_tsv from people');
create table folk (id int, c_text text, name text);
create table people_child () inherits (folk);
insert into people_child select id, c_text, name from people;
create table parted (id int, c_text text) partition by list (id);
create table parted_1 partition of parted default;
insert into parted select id, c_text from people;
create table many (c_text text, name text);
insert into many values
{many};
analyze many;
create view stats_view as select tablename, most_common_vals::text as hb from pg_stats where tablename = 'many';
create table gen (id int, c_text text, copied text generated always as (c_text || '') stored);
insert into gen select id, c_text from people;
create table twice (c_text text);
insert into twice select c_text from people, generate_series(1, 2);
create table uniq (c_text text unique);
create table uniq_two (id int, c_text text unique);
insert into uniq_two select 1, c_text from people where id = 1;
insert into uniq_two values (2, 'other');
create table checked (c_text text, n int not null check (n > 0));
insert into checked select c_text, 1 from people;
create table refers (c_text text references uniq (c_text));
create table noisy (n int);
insert into noisy values (1);
create function shout_people() returns trigger language plpgsql as
  'begin raise notice ''%'', (select c_text from people where id = 1); return new; end';
create trigger noise before update on noisy for each row execute function shout_people();
create sequence leaky_seq;
create schema remote;
create schema remote2;
create schema elsewhere;
create table notes (id int);
create function read_people(int) returns text language sql stable as 'select c_text from people where id = $1';
create function read_all_people() returns setof text language sql stable as 'select c_text from people';
create function whole_person(int) returns people language sql stable as 'select p from people p where id = $1';
create function md5(int) returns text language sql stable as 'select c_text from people where id = $1';
create function pick_people(int, int) returns text language sql stable as 'select c_text from people where id = $1';
create operator ?|? (leftarg = int, rightarg = int, function = pick_people);
create function key_text(person_key) returns text language sql stable as 'select c_text from people where id = $1.id';
create cast (person_key as text) with function key_text(person_key);
create function fail_with(text) returns int language plpgsql as 'begin raise exception ''no: %'', $1; end';
create aggregate glue (text) (sfunc = textcat, stype = text, initcond = '');
create table vault (id int primary key, owner text, token text, pin bigint, note text);
insert into vault values
{vault};
create view vault_view as select id, token as t from vault;
create view vault_flags as select id, token like '{guess}%' as starts from vault;
create function guess(text) returns bool language sql stable as 'select exists (select from vault where token = $1)';
create function guess_row(vault, text) returns bool language sql immutable as 'select $1.token like $2 || ''%''';
create function same_text(text, text) returns bool language sql immutable as 'select $1 = $2';
create operator =?= (leftarg = text, rightarg = text, function = same_text);
create table plain (id int primary key, name text, amount numeric(12,2), at timestamptz, tags text[], doc jsonb);
insert into plain select i, 'name ' || i, i * 1.25, '2026-01-01 00:00:00Z'::timestamptz + i * interval '1 hour', array['a', i::text],
  jsonb_build_object('i', i) from generate_series(1, 200) i;
"""
