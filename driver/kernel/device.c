// SPDX-License-Identifier: GPL-2.0
/* /dev/rmt: calls, shared memory, poll; the daemon's coming and going. */

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "internal.h"

DECLARE_WAIT_QUEUE_HEAD(rmt_wait);

/* Settings, probes, and who is the daemon. */
static DEFINE_MUTEX(rmt_lock);
static struct file *daemon_file;
static struct rmt_shim_header *memory;

static void settings_default(struct rmt_hook *hook)
{
	hook->budget_ns = RMT_SHIM_DEFAULT_BUDGET_NS;
	hook->window = 0;
	hook->min_agreement = 0;
	hook->max_late = 1000;
	hook->max_errors = U32_MAX;
	hook->key = 0;
}

/* Takes away the probes of hooks that are off, and settles what they sent. Under rmt_lock. */
static void reap(void)
{
	unsigned int index;
	bool any = false;

	for (index = 0; index < RMT_HOOK_COUNT; index++) {
		if (rmt_hooks[index].mode == RMT_MODE_OFF && rmt_hooks[index].registered) {
			rmt_hook_unregister(&rmt_hooks[index]);
			any = true;
		}
	}
	if (any)
		rmt_settle_all();
}

static void reap_work(struct work_struct *work)
{
	mutex_lock(&rmt_lock);
	reap();
	mutex_unlock(&rmt_lock);
}

static DECLARE_WORK(reap_later, reap_work);

/* In interrupt context, on behalf of a hook: wakes the daemon, has dead probes taken away. */
void rmt_device_wake(struct irq_work *work)
{
	unsigned int index;

	for (index = 0; index < RMT_HOOK_COUNT; index++)
		if (READ_ONCE(rmt_hooks[index].mode) == RMT_MODE_OFF &&
		    READ_ONCE(rmt_hooks[index].registered))
			schedule_work(&reap_later);
	wake_up_interruptible(&rmt_wait);
}

/* Puts all hooks off. Under rmt_lock. */
static void all_off(u8 why)
{
	unsigned int index;

	for (index = 0; index < RMT_HOOK_COUNT; index++)
		rmt_put_off(&rmt_hooks[index], why);
	reap();
}

void rmt_device_kill(void)
{
	unsigned int index;

	/* First the hooks, then what may have to wait. */
	for (index = 0; index < RMT_HOOK_COUNT; index++)
		rmt_put_off(&rmt_hooks[index], RMT_DEMOTION_KILLED);
	mutex_lock(&rmt_lock);
	reap();
	mutex_unlock(&rmt_lock);
}

static struct rmt_hook *hook_of(u16 number)
{
	if (number < 1 || number > RMT_HOOK_COUNT)
		return NULL;
	return &rmt_hooks[number - 1];
}

/* Makes the caller the daemon. All hooks are off, so no processor writes to its ring. */
static int attach(struct file *file)
{
	int cpu;

	if (daemon_file)
		return daemon_file == file ? 0 : -EBUSY;
	for_each_possible_cpu(cpu) {
		struct rmt_ring *ring = &per_cpu_ptr(&rmt_cpus, cpu)->ring;

		WRITE_ONCE(ring->block->sleeping, 0);
		WRITE_ONCE(ring->block->event_head, ring->event_tail);
		WRITE_ONCE(ring->block->outcome_head, ring->outcome_tail);
	}
	daemon_file = file;
	return 0;
}

static int set_hook(const struct rmt_shim_settings *new)
{
	struct rmt_hook *hook = hook_of(new->hook);
	int error;

	if (!hook || new->mode > RMT_MODE_ACT || new->budget_ns > RMT_SHIM_MAX_BUDGET_NS ||
	    new->min_agreement > 1000 || new->max_late > 1000 || new->reserved)
		return -EINVAL;
	if (new->mode == RMT_MODE_OFF) {
		rmt_put_off(hook, RMT_DEMOTION_NONE);
		hook->demotion = RMT_DEMOTION_NONE;
		reap();
	} else {
		if (!daemon_file)
			return -ENOLINK;
		error = rmt_hook_register(hook);
		if (error)
			return error;
	}
	WRITE_ONCE(hook->budget_ns, new->budget_ns);
	WRITE_ONCE(hook->window, new->window);
	WRITE_ONCE(hook->min_agreement, new->min_agreement);
	WRITE_ONCE(hook->max_late, new->max_late);
	WRITE_ONCE(hook->max_errors, new->max_errors);
	WRITE_ONCE(hook->key, new->key);
	if (new->mode != RMT_MODE_OFF) {
		WRITE_ONCE(hook->demotion, RMT_DEMOTION_NONE);
		/* Settings first: a hook that sees the mode sees them too. */
		smp_store_release(&hook->mode, new->mode);
	}
	return 0;
}

static int get_hook(struct rmt_shim_settings *settings)
{
	struct rmt_hook *hook = hook_of(settings->hook);

	if (!hook)
		return -EINVAL;
	settings->mode = READ_ONCE(hook->mode);
	settings->demotion = READ_ONCE(hook->demotion);
	settings->budget_ns = hook->budget_ns;
	settings->window = hook->window;
	settings->min_agreement = hook->min_agreement;
	settings->max_late = hook->max_late;
	settings->max_errors = hook->max_errors;
	settings->reserved = 0;
	settings->key = hook->key;
	return 0;
}

static int get_counters(struct rmt_shim_counters *counters)
{
	struct rmt_hook *hook = hook_of(counters->hook);
	unsigned int counter;
	int cpu;

	if (!hook)
		return -EINVAL;
	memset(counters->reserved, 0, sizeof(counters->reserved));
	memset(counters->counters, 0, sizeof(counters->counters));
	for_each_possible_cpu(cpu) {
		struct rmt_hook_cpu *mine = &per_cpu_ptr(&rmt_cpus, cpu)->hooks[hook - rmt_hooks];

		for (counter = 0; counter < RMT_COUNTER_COUNT; counter++)
			counters->counters[counter] += READ_ONCE(mine->counters[counter]);
	}
	counters->counters[RMT_COUNTER_UNSEEN] = hook->unseen + hook->probe.nmissed;
	return 0;
}

static long device_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	void __user *user = (void __user *)argument;
	union {
		struct rmt_shim_settings settings;
		struct rmt_shim_counters counters;
	} record;
	size_t bytes = _IOC_SIZE(command);
	long error;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (command == RMT_IOCTL_KILL) {
		rmt_device_kill();
		return 0;
	}
	if (_IOC_TYPE(command) != _IOC_TYPE(RMT_IOCTL_ATTACH) || bytes > sizeof(record))
		return -ENOTTY;
	if (bytes && copy_from_user(&record, user, bytes))
		return -EFAULT;
	mutex_lock(&rmt_lock);
	switch (command) {
	case RMT_IOCTL_ATTACH:
		error = attach(file);
		break;
	case RMT_IOCTL_SET_HOOK:
		error = set_hook(&record.settings);
		break;
	case RMT_IOCTL_GET_HOOK:
		error = get_hook(&record.settings);
		break;
	case RMT_IOCTL_GET_COUNTERS:
		error = get_counters(&record.counters);
		break;
	default:
		error = -ENOTTY;
	}
	mutex_unlock(&rmt_lock);
	if (!error && (_IOC_DIR(command) & _IOC_READ) && copy_to_user(user, &record, bytes))
		error = -EFAULT;
	return error;
}

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	bool is_daemon;

	mutex_lock(&rmt_lock);
	is_daemon = daemon_file == file;
	mutex_unlock(&rmt_lock);
	/* Others may look. */
	if (!is_daemon) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	return remap_vmalloc_range(vma, memory, vma->vm_pgoff);
}

static __poll_t device_poll(struct file *file, poll_table *table)
{
	int cpu;

	poll_wait(file, &rmt_wait, table);
	for_each_possible_cpu(cpu) {
		struct rmt_ring *ring = &per_cpu_ptr(&rmt_cpus, cpu)->ring;

		if (READ_ONCE(ring->event_tail) != READ_ONCE(ring->block->event_head) ||
		    READ_ONCE(ring->outcome_tail) != READ_ONCE(ring->block->outcome_head))
			return EPOLLIN | EPOLLRDNORM;
	}
	return 0;
}

static int device_open(struct inode *inode, struct file *file)
{
	/* The misc device leaves itself there. */
	file->private_data = NULL;
	return 0;
}

/* The daemon's end, however it came: the kernel decides by itself from here on. */
static int device_release(struct inode *inode, struct file *file)
{
	mutex_lock(&rmt_lock);
	if (daemon_file == file) {
		all_off(RMT_DEMOTION_DAEMON_GONE);
		daemon_file = NULL;
	}
	mutex_unlock(&rmt_lock);
	return 0;
}

static const struct file_operations device_operations = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
	.mmap = device_mmap,
	.poll = device_poll,
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "rmt",
	.fops = &device_operations,
	.mode = 0600,
};

static void free_all(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		kvfree(per_cpu_ptr(&rmt_cpus, cpu)->pending);
	vfree(memory);
}

int rmt_device_init(u32 ring_log2)
{
	struct rmt_shim_header header;
	unsigned int index;
	int cpu, error;

	if (ring_log2 < RMT_SHIM_MIN_RING_LOG2 || ring_log2 > RMT_SHIM_MAX_RING_LOG2)
		return -EINVAL;
	for (index = 0; index < RMT_HOOK_COUNT; index++)
		settings_default(&rmt_hooks[index]);
	header = rmt_ring_layout(nr_cpu_ids, ring_log2);
	memory = vmalloc_user(header.bytes);
	if (!memory)
		return -ENOMEM;
	*memory = header;
	for_each_possible_cpu(cpu) {
		struct rmt_cpu *mine = per_cpu_ptr(&rmt_cpus, cpu);

		rmt_ring_init(&mine->ring, memory, &header, cpu);
		init_irq_work(&mine->wake, rmt_device_wake);
		mine->pending = kvcalloc(1UL << ring_log2, sizeof(*mine->pending), GFP_KERNEL);
		if (!mine->pending) {
			free_all();
			return -ENOMEM;
		}
	}
	error = misc_register(&device);
	if (error)
		free_all();
	return error;
}

/* No file is open: all hooks are off and their probes gone, or go now. */
void rmt_device_exit(void)
{
	int cpu;

	misc_deregister(&device);
	rmt_device_kill();
	for_each_possible_cpu(cpu)
		irq_work_sync(&per_cpu_ptr(&rmt_cpus, cpu)->wake);
	cancel_work_sync(&reap_later);
	free_all();
}
