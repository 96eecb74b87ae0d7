import type { audit as English } from '../en/audit.ts';

export const audit: typeof English = {
  auditLog: '감사 로그',
  keyOfFlag: '기능 플래그의 키',
  nameOfPerson: '사람의 이름 또는 이메일',
  entries: (_count, text) => `기록 ${text}건`,
  fromTime: '시작 시각',
  toTime: '종료 시각',
  entriesOf: (name) => `${name} 님의 기록만 표시합니다.`,
  entriesOfAll: '모든 사람의 기록 보기',
  onlyThisPerson: '이 사람의 기록만 보기',
  noEntries: '조건에 맞는 기록이 없습니다.',
  pagesOfAudit: '감사 로그 페이지',
  fromAddress: (address) => `접속 주소 ${address}.`,
  chain: '해시 체인',
  chainLead: '각 기록에는 바로 앞 기록의 해시가 들어 있습니다. 검사하면 모든 해시를 다시 계산합니다.',
  checkChain: '체인 검사',
  chainIntact: (count) => `이상 없음: 기록 ${count}건을 다시 계산했습니다.`,
  chainBroken: (fault) => `체인이 끊어졌습니다. ${fault} 데이터베이스를 그대로 보존하고 보안 담당자에게 알리세요.`,
  chainHead: '마지막 기록의 해시(다른 곳에 보관하세요):',
};
