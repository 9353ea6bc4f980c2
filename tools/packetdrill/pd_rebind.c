/*
 * The tool's code blocks (%{ assert tcpi_snd_cwnd == 10 }%) read TCP_INFO with the C library's getsockopt()
 * on the descriptor, past the interface: the kernel would say that our number is no socket. So the program's
 * own import of getsockopt is pointed at ours, which passes on every descriptor that is not ours.
 *
 * Only the main program is changed, and only that one slot. A statically bound program is left as it is: then
 * code blocks fail, with ENOTSOCK.
 */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pd.h"

static int getsockopt_ours(int fd, int level, int name, void *value, socklen_t *len)
{
	struct pd *pd = pd_current();

	if (pd != NULL) {
		int rc = pd_getsockopt(pd, fd, level, name, value, len);

		if (rc == 0 || errno != EBADF)
			return rc;
	}
	return getsockopt(fd, level, name, value, len);
}

struct image {
	uintptr_t base;
	const ElfW(Sym) * symbols;
	const char *names;
	const ElfW(Rela) * jumps, *relocs;
	size_t jump_bytes, reloc_bytes;
};

/* The linker has made most addresses absolute, but not all linkers all of them. */
static uintptr_t address(const struct image *im, ElfW(Addr) a)
{
	return a < im->base ? im->base + a : a;
}

static void read_dynamic(struct image *im, const ElfW(Dyn) * d)
{
	for (; d->d_tag != DT_NULL; d++) {
		switch (d->d_tag) {
		case DT_SYMTAB:
			im->symbols = (const void *)address(im, d->d_un.d_ptr);
			break;
		case DT_STRTAB:
			im->names = (const void *)address(im, d->d_un.d_ptr);
			break;
		case DT_JMPREL:
			im->jumps = (const void *)address(im, d->d_un.d_ptr);
			break;
		case DT_PLTRELSZ:
			im->jump_bytes = d->d_un.d_val;
			break;
		case DT_RELA:
			im->relocs = (const void *)address(im, d->d_un.d_ptr);
			break;
		case DT_RELASZ:
			im->reloc_bytes = d->d_un.d_val;
			break;
		default:
			break;
		}
	}
}

/* The slot may be read-only since the program was bound. */
static void write_slot(uintptr_t slot, uintptr_t value)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = slot & ~(page - 1);

	if (mprotect((void *)at, page, PROT_READ | PROT_WRITE) != 0)
		return;
	*(uintptr_t *)slot = value;
}

static void rebind_in(const struct image *im, const ElfW(Rela) * r, size_t bytes)
{
	for (size_t i = 0; r != NULL && i < bytes / sizeof(*r); i++) {
		const ElfW(Sym) *s = &im->symbols[ELF64_R_SYM(r[i].r_info)];
		uint32_t type = ELF64_R_TYPE(r[i].r_info);

		if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT)
			continue;
		if (strcmp(im->names + s->st_name, "getsockopt") == 0)
			write_slot(im->base + r[i].r_offset, (uintptr_t)getsockopt_ours);
	}
}

static int on_image(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct image im = {.base = info->dlpi_addr};

	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			read_dynamic(&im, (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr));
	}
	if (im.symbols != NULL && im.names != NULL) {
		rebind_in(&im, im.jumps, im.jump_bytes);
		rebind_in(&im, im.relocs, im.reloc_bytes);
	}
	return 1; /* the main program comes first: no other */
}

void pd_rebind(void)
{
	(void)dl_iterate_phdr(on_image, NULL);
}
