// SPDX-License-Identifier: GPL-2.0
/* Start and end of the module, and the kill switch. */

#include <linux/module.h>
#include <linux/moduleparam.h>

#include "internal.h"

static unsigned int ring_log2 = RMT_SHIM_DEFAULT_RING_LOG2;
module_param(ring_log2, uint, 0444);
MODULE_PARM_DESC(ring_log2, "binary logarithm of the places of each ring");

/* Any write to /sys/module/rmt_shim/parameters/kill puts all hooks off. */
static int kill_set(const char *value, const struct kernel_param *parameter)
{
	rmt_device_kill();
	return 0;
}

static const struct kernel_param_ops kill_ops = { .set = kill_set };
module_param_cb(kill, &kill_ops, NULL, 0200);
MODULE_PARM_DESC(kill, "written to: puts all hooks off");

static int __init rmt_init(void)
{
	int error = rmt_layout_read();

	if (error)
		pr_warn("rmt_shim: no hook on can_migrate_task, types unknown: %d\n", error);
	return rmt_device_init(ring_log2);
}

static void __exit rmt_exit(void)
{
	rmt_device_exit();
}

module_init(rmt_init);
module_exit(rmt_exit);
MODULE_DESCRIPTION("Hands kernel decisions to an RMT program and takes them back");
MODULE_LICENSE("GPL");
