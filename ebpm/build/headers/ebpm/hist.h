/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef EBPM_HIST_H
#define EBPM_HIST_H

#define HIST_SLOTS 26

/* The slot of a value in a histogram by powers of two, as "log2_hist" shows it: 0 for 0 and 1, then
   one for each doubling; what is larger than the last slot counts there. */
static __always_inline __u32 hist_slot(__u64 value)
{
	__u32 slot = 0;

#pragma clang loop unroll(full)
	for (int step = 32; step; step >>= 1) {
		if (value >> step) {
			value >>= step;
			slot += step;
		}
	}
	return slot < HIST_SLOTS ? slot : HIST_SLOTS - 1;
}

/* The value of a key, put there as zeros if it is not there yet; NULL where the map is full. */
static __always_inline void *lookup_or_init(void *map, const void *key, const void *zero)
{
	void *value = bpf_map_lookup_elem(map, key);

	if (value)
		return value;
	bpf_map_update_elem(map, key, zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(map, key);
}

#endif
