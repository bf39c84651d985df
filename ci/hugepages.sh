#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Hugepages for tests, and giving them back. Sourced after lib.sh, not run.

hugepage_folder=/sys/kernel/mm/hugepages/hugepages-2048kB
hugepages_wanted=512 # of 2 MB: 1 GB
hugepages_before='' mounted='' made_mount_folder=''

give_hugepages_back() {
    if [[ -n $mounted ]]; then umount "$mounted" || say "cannot unmount $mounted"; fi
    if [[ -n $made_mount_folder ]]; then rmdir "$made_mount_folder" || true; fi
    if [[ -n $hugepages_before ]]; then echo "$hugepages_before" >"$hugepage_folder/nr_hugepages"; fi
    mounted='' made_mount_folder='' hugepages_before=''
}

reserve_hugepages() {
    local free before
    [[ -w $hugepage_folder/nr_hugepages ]] || return 1
    free=$(<"$hugepage_folder/free_hugepages")
    if ((free < hugepages_wanted)); then
        before=$(<"$hugepage_folder/nr_hugepages")
        hugepages_before=$before
        echo $((before + hugepages_wanted - free)) 2>/dev/null >"$hugepage_folder/nr_hugepages" || return 1
        free=$(<"$hugepage_folder/free_hugepages")
        ((free >= hugepages_wanted)) || return 1
    fi
    if ! grep -q ' hugetlbfs .*pagesize=2M' /proc/mounts; then
        if [[ ! -d /dev/hugepages ]]; then
            mkdir /dev/hugepages 2>/dev/null || return 1
            made_mount_folder=/dev/hugepages
        fi
        mount -t hugetlbfs -o pagesize=2M hugetlbfs /dev/hugepages 2>/dev/null || return 1
        mounted=/dev/hugepages
    fi
}
