/** The highest capability this kernel knows: CAP_CHECKPOINT_RESTORE (include/uapi/linux/capability.h). */
export const CAP_LAST = 40;
