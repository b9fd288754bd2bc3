// SPDX-License-Identifier: GPL-2.0
/*
 * Places of fields of the scheduler's private structures. No header has them, and they differ
 * from build to build: they are read from the running kernel's own type information (BTF).
 */

#include <linux/btf.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "internal.h"

#define RMT_BTF_PATH "/sys/kernel/btf/vmlinux"

struct rmt_layout rmt_layout;
static bool known;

/* The type information, checked as far as it is used. */
struct types {
	const char *strings;
	u32 string_bytes;
	const char *first;
	u32 type_bytes;
	u32 *places;		/* of each type behind first, by its number less one */
	u32 count;
};

/* A field that is needed: one of two names, of a size in bytes. */
struct wanted {
	const char *structure;
	const char *name;
	const char *other_name;
	u32 bytes;
	u32 *offset;
};

#define FIELD(structure, name, bytes, place) \
	{ #structure, #name, NULL, bytes, &rmt_layout.place }

static const struct wanted wanted[] = {
	FIELD(lb_env, sd, 8, env_sd),
	FIELD(lb_env, src_rq, 8, env_src_rq),
	FIELD(lb_env, src_cpu, 4, env_src_cpu),
	FIELD(lb_env, dst_cpu, 4, env_dst_cpu),
	FIELD(lb_env, dst_rq, 8, env_dst_rq),
	FIELD(lb_env, idle, 4, env_idle),
	FIELD(rq, nr_running, 4, rq_nr_running),
	FIELD(rq, nr_preferred_running, 4, rq_nr_preferred_running),
	FIELD(rq, cfs, 0, rq_cfs),
	FIELD(rq, clock_task, 8, rq_clock_task),
	{ "cfs_rq", "h_nr_queued", "h_nr_running", 4, &rmt_layout.cfs_h_nr_queued },
	FIELD(cfs_rq, avg, sizeof(struct sched_avg), cfs_avg),
	FIELD(cfs_rq, next, 8, cfs_next),
#ifdef CONFIG_CFS_BANDWIDTH
	FIELD(cfs_rq, throttle_count, 4, cfs_throttle_count),
	FIELD(task_group, cfs_rq, 8, group_cfs_rq),
#endif
};

/* Bytes of a type with all that follows it, or 0 for one that is not known. */
static u32 bytes_of(const struct btf_type *type)
{
	u32 count = BTF_INFO_VLEN(type->info);

	switch (BTF_INFO_KIND(type->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return sizeof(*type) + sizeof(u32);
	case BTF_KIND_ARRAY:
		return sizeof(*type) + sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return sizeof(*type) + count * sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return sizeof(*type) + count * sizeof(struct btf_enum);
	case BTF_KIND_FUNC_PROTO:
		return sizeof(*type) + count * sizeof(struct btf_param);
	case BTF_KIND_DATASEC:
		return sizeof(*type) + count * sizeof(struct btf_var_secinfo);
	case BTF_KIND_ENUM64:
		return sizeof(*type) + count * sizeof(struct btf_enum64);
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return sizeof(*type);
	}
	return 0;
}

static const struct btf_type *type_of(const struct types *types, u32 number)
{
	if (number == 0 || number > types->count)
		return NULL;
	return (const struct btf_type *)(types->first + types->places[number - 1]);
}

static bool has_name(const struct types *types, u32 offset, const char *name)
{
	return name && offset < types->string_bytes && !strcmp(types->strings + offset, name);
}

/* Size of a type, bytes, or 0 where it has none. */
static u32 size_of(const struct types *types, u32 number)
{
	const struct btf_type *type;
	int steps;

	for (steps = 0; steps < 32 && (type = type_of(types, number)); steps++) {
		switch (BTF_INFO_KIND(type->info)) {
		case BTF_KIND_INT:
		case BTF_KIND_ENUM:
		case BTF_KIND_ENUM64:
		case BTF_KIND_STRUCT:
		case BTF_KIND_UNION:
			return type->size;
		case BTF_KIND_PTR:
			return sizeof(void *);
		case BTF_KIND_TYPEDEF:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_CONST:
		case BTF_KIND_RESTRICT:
		case BTF_KIND_TYPE_TAG:
			number = type->type;
			break;
		default:
			return 0;
		}
	}
	return 0;
}

static bool find_member(const struct types *types, const struct btf_type *type,
			const struct wanted *field)
{
	const struct btf_member *member = (const struct btf_member *)(type + 1);
	u32 count = BTF_INFO_VLEN(type->info), index;

	for (index = 0; index < count; index++, member++) {
		u32 bits = BTF_INFO_KFLAG(type->info) ? BTF_MEMBER_BIT_OFFSET(member->offset) :
							member->offset;

		if (!has_name(types, member->name_off, field->name) &&
		    !has_name(types, member->name_off, field->other_name))
			continue;
		if (field->bytes && size_of(types, member->type) != field->bytes)
			return false;
		*field->offset = bits / 8;
		return bits % 8 == 0;
	}
	return false;
}

static bool find_field(const struct types *types, const struct wanted *field)
{
	u32 number;

	for (number = 1; number <= types->count; number++) {
		const struct btf_type *type = type_of(types, number);

		if (BTF_INFO_KIND(type->info) == BTF_KIND_STRUCT &&
		    has_name(types, type->name_off, field->structure) &&
		    find_member(types, type, field))
			return true;
	}
	pr_warn("rmt_shim: this kernel has no field %s.%s of %u bytes\n", field->structure,
		field->name, field->bytes);
	return false;
}

/* Checks the type information's parts, and notes where each type begins. */
static int index_types(struct types *types, const void *data, size_t bytes)
{
	const struct btf_header *header = data;
	u32 place, step;

	if (bytes < sizeof(*header) || header->magic != BTF_MAGIC ||
	    header->hdr_len < sizeof(*header) ||
	    (u64)header->hdr_len + header->type_off + header->type_len > bytes ||
	    (u64)header->hdr_len + header->str_off + header->str_len > bytes || !header->str_len)
		return -EINVAL;
	types->first = data + header->hdr_len + header->type_off;
	types->type_bytes = header->type_len;
	types->strings = data + header->hdr_len + header->str_off;
	types->string_bytes = header->str_len;
	if (types->strings[types->string_bytes - 1])
		return -EINVAL;
	types->places = kvmalloc_array(types->type_bytes / sizeof(struct btf_type), sizeof(u32),
				       GFP_KERNEL);
	if (!types->places)
		return -ENOMEM;
	for (place = 0; place < types->type_bytes; place += step) {
		if (types->type_bytes - place < sizeof(struct btf_type))
			return -EINVAL;
		step = bytes_of((const struct btf_type *)(types->first + place));
		if (!step || step > types->type_bytes - place)
			return -EINVAL;
		types->places[types->count++] = place;
	}
	return 0;
}

/* Reads a file whole, or gives an error's pointer. */
static void *read_whole(const char *path, size_t *bytes)
{
	struct file *file = filp_open(path, O_RDONLY, 0);
	size_t left;
	char *data;
	loff_t place = 0;
	ssize_t got = 0;

	if (IS_ERR(file))
		return file;
	*bytes = i_size_read(file_inode(file));
	data = kvmalloc(*bytes, GFP_KERNEL);
	for (left = *bytes; data && left; left -= got) {
		got = kernel_read(file, data + place, left, &place);
		if (got <= 0)
			break;
	}
	filp_close(file, NULL);
	if (data && !left)
		return data;
	kvfree(data);
	return ERR_PTR(data ? -EIO : -ENOMEM);
}

/* Reads the places of all fields; without them the scheduler's hook cannot be used. */
int rmt_layout_read(void)
{
	struct types types = {};
	size_t bytes, index;
	void *data;
	int error;

	data = read_whole(RMT_BTF_PATH, &bytes);
	if (IS_ERR(data))
		return PTR_ERR(data);
	error = index_types(&types, data, bytes);
	for (index = 0; !error && index < ARRAY_SIZE(wanted); index++)
		if (!find_field(&types, &wanted[index]))
			error = -ENOENT;
	known = !error;
	kvfree(types.places);
	kvfree(data);
	return error;
}

bool rmt_layout_known(void)
{
	return known;
}
