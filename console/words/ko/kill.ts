import type { kill as English } from '../en/kill.ts';

export const kill: typeof English = {
  kill: '킬 스위치 작동',
  killShort: '킬 스위치',
  killNow: '지금 킬 스위치 작동',
  killChooseLead: '중지할 기능을 선택하세요. 아직 아무 일도 일어나지 않습니다.',
  killMoreFlags: '더 있습니다. 키나 이름의 일부를 입력하세요.',
  chooseFlag: '기능 플래그 선택',
  killEffect: '작동하면',
  killReaches: (_count, text, environment) =>
    `지금까지 연결된 ${environment} 환경의 차량 ${text}대가 규칙과 관계없이 즉시 기본값을 받습니다:`,
  stableDefault: '진행 중인 단계 배포 전의 기본값.',
  killWhenParked:
    '이 킬 스위치는 차량이 주차되었을 때 작동하도록 정해져 있습니다. 그때까지 차량은 지금의 값을 유지합니다.',
  killedLeadStable: '규칙과 관계없이 모든 차량이 단계 배포 전의 기본값을 받습니다.',
  beginsAnotherRelease:
    '새 내용으로 다른 단계 배포가 시작됩니다. 변경 전으로 돌아가려면 진행 중인 단계 배포를 먼저 중단하세요.',
  killOffline:
    '오프라인이거나 아직 연결된 적이 없는 차량은 연결되는 즉시 적용됩니다. 안전 등급과 관계없이 승인이 필요하지 않습니다.',
  killNoRules: '켜진 규칙이 없어 모든 차량이 이미 기본값을 사용합니다.',
  killDisabledFlag: '기능 플래그가 꺼져 있어 모든 차량이 이미 기본값을 사용합니다.',
  killNoVehicle: '이 기능 플래그를 받은 차량이 없어 중지할 것이 없습니다.',
  killedAlready: '더 중지할 것이 없습니다.',
  mayNotKill: '현재 역할로는 킬 스위치를 작동하거나 해제할 수 없습니다. 편집자, 안전 검토자, 관리자가 할 수 있습니다.',
  reason: '사유',
  killReasonHint: '발생한 문제와 사고 번호를 적으세요. 감사 로그에 남습니다.',
  reasonMissing: '사유를 입력하세요. 감사 로그에 필요합니다.',
  typeKey: '기능 플래그의 키 입력',
  typeKeyHint: '대상이 맞는지 확인하기 위해 다음을 그대로 입력하세요:',
  keyDiffers: '기능 플래그의 키와 다릅니다.',
  onItsWay: '차량에 적용하는 중',
  ofTheFleet: '차량 적용률',
  sinceChange: '변경 후 경과',
  untilLast: '마지막 차량까지',
  missing: '미적용 차량(대)',
  missingLead: '미적용 차량은 오프라인이거나 아직 보고하지 않았습니다. 연결되는 즉시 적용됩니다.',
  allHaveIt: (count, text) =>
    count === 0 ? '이 환경에 속한 차량이 없습니다.' : `차량 ${text}대 모두에 적용되었습니다.`,
  releaseKillSwitch: '킬 스위치 해제',
  releaseReasonHint: '기능이 다시 안전한 이유를 적으세요. 감사 로그에 남습니다.',
  releaseEffect: '해제하면 차량이 받는 값',
  releaseDisabledFlag: '기능 플래그가 꺼져 있어 해제해도 값이 바뀌지 않습니다:',
  releaseWaits: '다른 담당자가 해제를 승인할 때까지 기본값이 유지됩니다.',
  waitsTitle: '승인 대기 중입니다.',
  notKilled: '이 기능 플래그에는 작동 중인 킬 스위치가 없습니다.',
  killReleasedSince: '작동했던 킬 스위치라면 그 뒤에 해제되었습니다.',
};
