/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef EBPM_NAME_H
#define EBPM_NAME_H

#define NAME_LOW_BITS 0x7f7f7f7f7f7f7f7fULL

/* 0xff for each byte that is not NUL. */
static __always_inline __u64 name_mask(__u64 word)
{
	__u64 present = ((word & NAME_LOW_BITS) + NAME_LOW_BITS) | word;

	return ((present & ~NAME_LOW_BITS) >> 7) * 0xff;
}

/* 1 for 0, else 0; without a branch, for verifiers before Linux 6.12 follow both ways of each. The
   compiler, which knows what this is, would make one of it. */
static __always_inline __u64 name_is_zero(__u64 value)
{
	__u64 sign = value | -value;

	barrier_var(sign);
	return ~sign >> 63;
}

/* Whether a name begins with another, or that is empty. Both are arrays of 8 * words bytes, aligned,
   with NULs behind. */
static __always_inline bool name_begins(const void *name, const volatile void *wanted, int words)
{
	const __u64 *have = name;
	const volatile __u64 *want = wanted;
	__u64 different = 0;

#pragma clang loop unroll(full)
	for (int i = 0; i < words; i++) {
		__u64 word = want[i];

		different |= (have[i] ^ word) & name_mask(word);
	}
	return !different;
}

/* Whether the name of the current task holds another, or that is empty: 16 bytes with NULs behind. */
static __always_inline bool comm_contains(const volatile void *wanted)
{
	const volatile __u64 *want = wanted;
	__u64 low = want[0], high = want[1], low_mask = name_mask(low), high_mask = name_mask(high);
	__u64 name[4] = {}, found = 0;

	if (!low)
		return true;
	bpf_get_current_comm(name, 16);
#pragma clang loop unroll(full)
	for (int word = 0; word < 2; word++) {
		__u64 a = name[word], b = name[word + 1], c = name[word + 2];

		found |= name_is_zero(((a ^ low) & low_mask) | ((b ^ high) & high_mask));
#pragma clang loop unroll(full)
		for (int bits = 8; bits < 64; bits += 8) { /* the name from its next byte on */
			__u64 first = a >> bits | b << (64 - bits);
			__u64 second = b >> bits | c << (64 - bits);

			found |= name_is_zero(((first ^ low) & low_mask) | ((second ^ high) & high_mask));
		}
	}
	return found;
}

/* Whether a text holds another, or that is empty: an array of 8 * words bytes, and one of 32, both
   aligned and with NULs behind. */
static __always_inline bool text_contains(const void *text, int words, const volatile void *wanted)
{
	const volatile __u64 *want = wanted;
	const __u64 *have = text;
	__u64 w[5] = {have[0], have[1], have[2], have[3], have[4]}, found = 0;
	__u64 wanted_word[4], mask[4];

	if (!want[0])
		return true;
#pragma clang loop unroll(full)
	for (int part = 0; part < 4; part++) {
		wanted_word[part] = want[part];
		mask[part] = name_mask(wanted_word[part]);
	}
	for (int i = 0; i < words; i++) {
#pragma clang loop unroll(full)
		for (int bits = 0; bits < 64; bits += 8) {
			__u64 different = 0;

#pragma clang loop unroll(full)
			for (int part = 0; part < 4; part++) {
				__u64 low = w[part] >> bits;
				__u64 word = bits ? low | w[part + 1] << (64 - bits) : low;

				different |= (word ^ wanted_word[part]) & mask[part];
			}
			found |= name_is_zero(different);
		}
		w[0] = w[1], w[1] = w[2], w[2] = w[3], w[3] = w[4];
		w[4] = i + 5 < words ? have[i + 5] : 0;
	}
	return found;
}

#endif
