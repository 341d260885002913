// Lines of text from records of one layout, a batch in one call: the fastest way of a busy tool's
// events to its output. Compiled by scripts/native into rows.so, called by ebpm/output/rows.py.
//
// It writes the plain cases: integers and their names, booleans, enumerators that have one, IP
// addresses and printable ASCII. Before a record that holds anything else it stops, and Python writes
// that one. So whatever it writes is what decoding record by record gives, and the rest is none of its
// business.
//
// Nothing that the records hold can lead it outside the buffers, and what the caller describes is
// checked with each call. It allocates nothing, keeps nothing, and of libc calls memcpy, memset and,
// for IPv6, inet_ntop, which Python calls as well.
#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "values are read as on little-endian machines"
#endif

enum kind { NUMBER, BOOL, ENUM, TEXT, ADDRESS, NAMED };

// rows.py writes these three: change them together, and the number in the function's name with them.
struct column {
	uint32_t offset; // in the record, in bytes; so is the size
	uint32_t size;
	uint32_t place; // in an aligned line: where its cell begins if there is room
	uint32_t before, before_size; // in another line: the text in front of the cell, in job.texts
	uint32_t first_name, names; // in job.names, by their values
	uint8_t kind;
	uint8_t is_signed;
	uint8_t shift, bits; // of a number in what its bytes hold: a bitfield's, or 0 and all
};

struct name {
	uint64_t value; // as 64 bits, by its sign
	uint32_t text, size; // in job.texts
};

struct job {
	uint64_t job_size; // of this struct: what both sides think that it is
	const struct column *columns;
	const struct name *names;
	const uint8_t *texts;
	uint64_t column_count, name_count, texts_size;
	uint64_t aligned; // cells have places, and at least a space in front; in other lines texts are quoted
	const uint8_t *head, *tail; // of each line
	uint64_t head_size, tail_size;
	const uint8_t *data; // the buffer that the records are in
	uint64_t data_size;
	uint64_t start, size, stride, count; // record i: size bytes at start + i * stride
	uint8_t *out;
	uint64_t capacity;
	uint64_t written; // result: bytes of whole lines in out
};

#define WIDE 32 // bytes that may be stored behind the end of what is meant: short texts go in one piece
#define DIGITS 20 // digits, or a sign and digits, of 64 bits

static const char PAIRS[] =
	"00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
	"49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
	"9899";

static uint64_t load(const uint8_t *at, uint32_t size)
{
	uint64_t value = 0;

	switch (size) { // the common ones are one instruction each
	case 4: {
		uint32_t four;

		memcpy(&four, at, 4);
		return four;
	}
	case 8:
		memcpy(&value, at, 8);
		return value;
	default:
		for (uint32_t i = 0; i < size; i++)
			value |= (uint64_t)at[i] << 8 * i;
		return value;
	}
}

static uint8_t *put_number(uint8_t *out, uint64_t value)
{
	char digits[DIGITS + WIDE];
	uint32_t at = DIGITS;

	while (value >= 100) {
		at -= 2;
		memcpy(digits + at, PAIRS + value % 100 * 2, 2);
		value /= 100;
	}
	if (value >= 10) {
		at -= 2;
		memcpy(digits + at, PAIRS + value * 2, 2);
	} else {
		digits[--at] = '0' + value;
	}
	memcpy(out, digits + at, DIGITS); // what is behind the digits will be written over
	return out + DIGITS - at;
}

static uint8_t *put_signed(uint8_t *out, uint64_t value)
{
	if (value >> 63) {
		*out++ = '-';
		value = -value;
	}
	return put_number(out, value);
}

// A byte below n, for n up to 128, in eight (Bit Twiddling Hacks, "hasless").
#define EACH(byte) (0x0101010101010101ull * (byte))
#define HAS_LESS(eight, n) (((eight) - EACH(n)) & ~(eight) & EACH(0x80))
#define HAS(eight, byte) HAS_LESS((eight) ^ EACH(byte), 1)

static int is_plain(uint8_t byte, int quoted)
{
	return byte >= 0x20 && byte < 0x7f && !(quoted && (byte == '"' || byte == '\\'));
}

// Text up to its NUL; NULL if it holds what is not shown as it is.
static uint8_t *put_text(uint8_t *out, const uint8_t *text, uint32_t size, int quoted)
{
	uint32_t at = 0;

	for (; size - at >= 8; at += 8) {
		uint64_t eight, other;

		memcpy(&eight, text + at, 8);
		other = HAS_LESS(eight, 0x20) | (eight & EACH(0x80)) | HAS(eight, 0x7f);
		if (quoted)
			other |= HAS(eight, '"') | HAS(eight, '\\');
		if (other)
			break;
		memcpy(out + at, &eight, 8);
	}
	for (; at < size && text[at]; at++) {
		uint8_t byte = text[at]; // once: what is checked is what is written

		if (!is_plain(byte, quoted))
			return NULL;
		out[at] = byte;
	}
	return out + at;
}

// A name that a number has; NULL if it has none. The names are in the order of their values.
static uint8_t *put_name(const struct job *job, const struct column *column, uint8_t *out, uint64_t value)
{
	const struct name *first = job->names + column->first_name;
	uint32_t count = column->names;

	while (count) {
		uint32_t half = count / 2;

		if (first[half].value == value) {
			memcpy(out, job->texts + first[half].text, first[half].size);
			return out + first[half].size;
		}
		if (first[half].value < value) {
			first += half + 1;
			count -= half + 1;
		} else {
			count = half;
		}
	}
	return NULL;
}

// A number that may have a name: that, else its digits; in other lines than aligned ones, else null.
static uint8_t *put_named(const struct job *job, const struct column *column, uint8_t *out, uint64_t value)
{
	uint8_t *end;

	if (job->aligned) {
		end = put_name(job, column, out, value);
		if (end)
			return end;
		return column->is_signed ? put_signed(out, value) : put_number(out, value);
	}
	end = put_name(job, column, out + 1, value);
	if (!end) {
		memcpy(out, "null", 4);
		return out + 4;
	}
	*out = *end = '"';
	return end + 1;
}

// An IPv6 address, or an IPv4 one in its place (RFC 4291 section 2.5.5.2).
static uint8_t *put_address(uint8_t *out, const uint8_t *address)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };
	uint8_t copy[16];

	memcpy(copy, address, 16);
	if (memcmp(copy, prefix, sizeof(prefix))) {
		if (!inet_ntop(AF_INET6, copy, (char *)out, INET6_ADDRSTRLEN))
			return NULL;
		return out + strlen((char *)out);
	}
	for (int i = 12; i < 16; i++) {
		if (i > 12)
			*out++ = '.';
		out = put_number(out, copy[i]);
	}
	return out;
}

static uint8_t *put_bool(uint8_t *out, uint64_t value)
{
	memcpy(out, value ? "true " : "false", 5);
	return out + 4 + !value;
}

static uint8_t *put_value(const struct job *job, const struct column *column, uint8_t *out, const uint8_t *record)
{
	const uint8_t *at = record + column->offset;
	uint32_t above = 64 - column->bits;
	uint64_t value;

	if (column->kind == TEXT)
		return put_text(out, at, column->size, !job->aligned);
	if (column->kind == ADDRESS)
		return put_address(out, at);
	value = load(at, column->size) >> column->shift << above;
	value = column->is_signed ? (uint64_t)((int64_t)value >> above) : value >> above;
	switch (column->kind) {
	case BOOL:
		return put_bool(out, value);
	case ENUM:
		return put_name(job, column, out, value);
	case NAMED:
		return put_named(job, column, out, value);
	default:
		return column->is_signed ? put_signed(out, value) : put_number(out, value);
	}
}

static uint8_t *put_gap(uint8_t *out, uint64_t size)
{
	memset(out, ' ', WIDE / 2);
	if (size > WIDE / 2)
		memset(out, ' ', size);
	return out + size;
}

// One line; NULL if a cell of it is not for us.
static uint8_t *put_line(const struct job *job, uint8_t *out, const uint8_t *record)
{
	const struct column *column = job->columns, *end = column + job->column_count;
	uint8_t *cells;

	memcpy(out, job->head, job->head_size);
	out += job->head_size;
	cells = out;
	for (; column < end; column++) {
		int quoted = !job->aligned && column->kind >= ENUM && column->kind != NAMED;

		if (job->aligned) {
			uint64_t at = out - cells;

			out = put_gap(out, column->place > at ? column->place - at : 1);
		} else {
			memcpy(out, job->texts + column->before, column->before_size);
			out += column->before_size;
		}
		if (quoted)
			*out++ = '"';
		out = put_value(job, column, out, record);
		if (!out)
			return NULL;
		if (quoted)
			*out++ = '"';
	}
	memcpy(out, job->tail, job->tail_size);
	return out + job->tail_size;
}

// The most bytes that a cell takes; 0 if what is said of its column is not possible.
static uint64_t longest_cell(const struct job *job, const struct column *column)
{
	uint64_t longest = column->kind == NAMED ? DIGITS : 1;

	if (column->offset > job->size || column->size > job->size - column->offset)
		return 0;
	switch (column->kind) {
	case TEXT:
		return 1 + (uint64_t)column->size;
	case ADDRESS:
		return column->size == 16 ? INET6_ADDRSTRLEN : 0;
	}
	if (column->size > 8 || !column->bits || column->shift + column->bits > 8 * column->size)
		return 0;
	if (column->kind != ENUM && column->kind != NAMED)
		return DIGITS;
	if (column->first_name > job->name_count || column->names > job->name_count - column->first_name)
		return 0;
	for (uint32_t i = 0; i < column->names; i++) {
		const struct name *name = job->names + column->first_name + i;

		if (name->text > job->texts_size || name->size > job->texts_size - name->text)
			return 0;
		if (name->size > longest)
			longest = name->size;
	}
	return longest;
}

// The most bytes that a line takes, and what is stored behind it; 0 if the job is not possible.
static uint64_t longest_line(const struct job *job)
{
	uint64_t longest = 0, last = 0;

	if (job->head_size > job->capacity || job->tail_size > job->capacity)
		return 0;
	for (uint64_t i = 0; i < job->column_count; i++) {
		const struct column *column = job->columns + i;
		uint64_t cell = longest_cell(job, column);

		if (!cell || column->before > job->texts_size ||
		    column->before_size > job->texts_size - column->before)
			return 0;
		longest += cell + column->before_size + 3; // two quotation marks, and the gap
		if (column->place > last)
			last = column->place;
	}
	return job->head_size + longest + last + job->tail_size + WIDE;
}

static int fits(const struct job *job)
{
	uint64_t last;

	if (job->start > job->data_size || job->size > job->stride)
		return 0;
	last = job->data_size - job->start; // the last record may end the buffer before its stride does
	if (!job->count || !job->stride)
		return !job->count;
	return job->size <= last && job->count - 1 <= (last - job->size) / job->stride;
}

// Writes lines until the records or the room are at an end, or a record is not for us. Gives how many
// were written; -1 if the job is not possible, with nothing written.
__attribute__((visibility("default"))) int64_t ebpm_rows_2(struct job *job)
{
	uint64_t longest, done = 0;
	uint8_t *out = job->out;

	job->written = 0;
	if (job->job_size != sizeof(*job) || !fits(job))
		return -1;
	longest = longest_line(job);
	if (!longest || longest > job->capacity)
		return -1;
	for (; done < job->count; done++) {
		uint8_t *next;

		if (job->capacity - (out - job->out) < longest)
			break;
		next = put_line(job, out, job->data + job->start + done * job->stride);
		if (!next)
			break;
		out = next;
	}
	job->written = out - job->out;
	return done;
}
